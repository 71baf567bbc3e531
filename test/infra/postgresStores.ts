/** Opens the Postgres log for tests, on a real server or embedded. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { type Database, openDatabase } from '../../infra/database.ts';
import { startEmbeddedPostgres } from '../../infra/embeddedPostgres.ts';
import { migrate } from '../../infra/migrate.ts';
import { createPostgresEventStore, type PostgresEventStore } from '../../infra/postgresEventStore.ts';
import { plainCodec } from '../contracts/sampleEvents.ts';
import { postgresForTests } from '../services.ts';

export interface TestLog {
  readonly store: PostgresEventStore;
  readonly database: Database;
  /** A second store with its own pool on the same database: another process, as far as the server can tell. */
  another(): Promise<{ store: PostgresEventStore; database: Database }>;
  readonly stop: () => Promise<void>;
}

/** A migrated log in a new database of a real server. */
export async function realLog(): Promise<TestLog> {
  const database = await postgresForTests();
  return await openLog(database.url, false, () => database.stop());
}

/** A migrated log in a new embedded database. */
export async function embeddedLog(): Promise<TestLog> {
  const folder = await mkdtemp(join(tmpdir(), 'colloquy-log-'));
  const embedded = await startEmbeddedPostgres({ dataDir: join(folder, 'data'), onFault: () => undefined });
  return await openLog(embedded.connection, true, async () => {
    await embedded.stop();
    await rm(folder, { recursive: true, force: true });
  });
}

async function openLog(
  connection: string | pg.ClientConfig,
  embedded: boolean,
  stop: () => Promise<void>,
): Promise<TestLog> {
  const opened: { store: PostgresEventStore; database: Database }[] = [];
  const another = async () => {
    const database = openDatabase({ connection, embedded, poolMax: 4, applicationName: 'colloquy-test' });
    await migrate(database.knex);
    const store = createPostgresEventStore({ pool: database.pool, codec: plainCodec, embedded });
    opened.push({ store, database });
    return { store, database };
  };
  return {
    ...(await another()),
    another,
    async stop() {
      for (const { store, database } of opened) {
        await store.close();
        await database.close();
      }
      await stop();
    },
  };
}
