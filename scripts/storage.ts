/** Where everything is kept: the embedded Postgres of the data folder, or the servers of DATABASE_URL and EVENTSTORE_URL. */
import type { EventStore } from '../domain/ports.ts';
import type { Codec } from '../domain/codec.ts';
import type { Settings } from '../infra/config.ts';
import { openDatabase, type Database } from '../infra/database.ts';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../infra/embeddedPostgres.ts';
import { refuseHalfRestored } from '../infra/postgresRestore.ts';
import { migrate } from '../infra/migrate.ts';
import { createPostgresEventStore } from '../infra/postgresEventStore.ts';
import { createCodec } from '../domain/codec.ts';
import { identitySeal, systemClock } from '../infra/system.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Log, Telemetry } from '../domain/telemetry.ts';
import { importedInto, readOnly } from './imported.ts';

export interface Storage {
  readonly database: Database;
  readonly store: EventStore;
  /** Null when a server is used. */
  readonly embedded: EmbeddedPostgres | null;
  readonly where: string;
  close(): Promise<void>;
}

/** PGlite has one session: more connections only wait for each other. */
const EMBEDDED_POOL = 4;

/**
 * Opens the database, brings its tables up to date, and the log.
 * @param telemetry gets the times of a server's statements.
 * @throws Refusal when they cannot be used.
 */
export async function openStorage(settings: Settings, log: Log, telemetry?: Telemetry): Promise<Storage> {
  const url = settings.DATABASE_URL;
  const onFault = (error: Error) => log.error({ err: error }, 'the embedded database had to be opened again');
  const embedded = url === undefined ? await startEmbeddedPostgres({ dataDir: settings.COLLOQUY_DATA, onFault }) : null;
  const database = openDatabase({
    connection: embedded?.connection ?? url ?? '',
    poolMax: embedded === null ? settings.DATABASE_POOL : EMBEDDED_POOL,
    embedded: embedded !== null,
    applicationName: 'colloquy',
    // Timing costs 5 to 10 µs of a statement: worth it where other processes and a network are in between.
    ...(embedded !== null || telemetry === undefined ? {} : { watch: queryWatch(settings, log, telemetry) }),
    onError: (error) => log.warn({ err: error }, 'an idle database connection broke'),
  });
  try {
    await migrate(database.knex).catch((error: unknown) => notToBeHad('PostgreSQL', 'DATABASE_URL', error));
    await refuseHalfRestored(database.knex);
    const eventLog = await openLog(settings, database, log);
    const close = async () => {
      await eventLog.close();
      await database.close();
      await embedded?.stop();
    };
    const imported = embedded !== null && importedInto(settings.COLLOQUY_DATA) !== null;
    const store = imported ? readOnly(eventLog.store) : eventLog.store;
    return { database, store, embedded, where: whereOf(settings), close };
  } catch (error) {
    await database.close();
    await embedded?.stop();
    throw error;
  }
}

/** The log of the settings, on an open database. @throws Refusal when it cannot be used. */
export async function openLog(
  settings: Settings,
  database: Database,
  log: Log,
): Promise<{ store: EventStore; close(): Promise<void> }> {
  const codec = createCodec(identitySeal);
  const onError = (error: Error) => log.warn({ err: error }, 'the log had trouble that it dealt with');
  if (settings.EVENTSTORE_URL !== undefined) return openEventStoreDb(settings.EVENTSTORE_URL, codec, onError);
  const { pool, embedded } = database;
  const store = createPostgresEventStore({ pool, codec, embedded, clock: systemClock, onError });
  return { store, close: () => store.close() };
}

/** Loaded when it is used: gRPC takes 80 ms of every start. */
async function openEventStoreDb(url: string, codec: Codec, onError: (error: Error) => void) {
  const { createEventStoreDb } = await import('../infra/eventstoredb.ts');
  const store = createEventStoreDb({ url, codec, clock: systemClock, onError });
  try {
    await store.check().catch((error: unknown) => notToBeHad('EventStoreDB', 'EVENTSTORE_URL', error));
  } catch (error) {
    await store.close();
    throw error;
  }
  return { store, close: () => store.close() };
}

/** Where the time of statements is told. */
export function queryWatch(settings: Settings, log: Log, telemetry: Telemetry) {
  return { slowMs: settings.DATABASE_SLOW_MS, telemetry, log };
}

/** At the start a server that does not answer is a setting to correct, not a moment to wait out. */
function notToBeHad(server: string, setting: string, error: unknown): never {
  if (!(error instanceof Refusal) || !error.retryable) throw error;
  const { cause } = error;
  const why = cause instanceof Error && cause.message !== '' ? ` (${cause.message.split('\n')[0] ?? ''})` : '';
  throw new Refusal('unavailable', `${server} does not answer${why}: start it, or correct ${setting}`, {
    retryable: false,
    cause: error,
  });
}

function whereOf({ DATABASE_URL, EVENTSTORE_URL, COLLOQUY_DATA }: Settings): string {
  if (EVENTSTORE_URL !== undefined) return 'EventStoreDB at EVENTSTORE_URL, read models in PostgreSQL at DATABASE_URL';
  return DATABASE_URL === undefined ? COLLOQUY_DATA : 'PostgreSQL at DATABASE_URL';
}
