/** Where everything is kept: the embedded Postgres of the data folder, or the server of DATABASE_URL. */
import type { Settings } from '../infra/config.ts';
import { openDatabase, type Database } from '../infra/database.ts';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../infra/embeddedPostgres.ts';
import { migrate } from '../infra/migrate.ts';
import { createPostgresEventStore, type PostgresEventStore } from '../infra/postgresEventStore.ts';
import { createCodec } from '../domain/codec.ts';
import { identitySeal, systemClock } from '../infra/system.ts';
import type { Log } from '../domain/telemetry.ts';

export interface Storage {
  readonly database: Database;
  readonly store: PostgresEventStore;
  /** Null when a server is used. */
  readonly embedded: EmbeddedPostgres | null;
  readonly where: string;
  close(): Promise<void>;
}

/** PGlite has one session: more connections only wait for each other. */
const EMBEDDED_POOL = 4;
const SERVER_POOL = 10;

/** Opens the database, brings its tables up to date, and the log in them. @throws Refusal when it cannot be used. */
export async function openStorage(settings: Settings, log: Log): Promise<Storage> {
  const url = settings.DATABASE_URL;
  const onFault = (error: Error) => log.error({ err: error }, 'the embedded database had to be opened again');
  const embedded = url === undefined ? await startEmbeddedPostgres({ dataDir: settings.COLLOQUY_DATA, onFault }) : null;
  const database = openDatabase({
    connection: embedded?.connection ?? url ?? '',
    poolMax: embedded === null ? SERVER_POOL : EMBEDDED_POOL,
    embedded: embedded !== null,
    applicationName: 'colloquy',
    onError: (error) => log.warn({ err: error }, 'an idle database connection broke'),
  });
  try {
    await migrate(database.knex);
    const store = createPostgresEventStore({
      pool: database.pool,
      codec: createCodec(identitySeal),
      embedded: embedded !== null,
      clock: systemClock,
      onError: (error) => log.warn({ err: error }, 'the log had trouble that it dealt with'),
    });
    const where = embedded === null ? 'PostgreSQL at DATABASE_URL' : settings.COLLOQUY_DATA;
    const close = async () => {
      await store.close();
      await database.close();
      await embedded?.stop();
    };
    return { database, store, embedded, where, close };
  } catch (error) {
    await database.close();
    await embedded?.stop();
    throw error;
  }
}
