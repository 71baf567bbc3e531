/** The empty log that a backup is restored into: the embedded database, a PostgreSQL server, or an EventStoreDB. */
import type { Knex } from 'knex';
import { createCodec, type StoredRecord } from '../domain/codec.ts';
import type { EventStore } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Log } from '../domain/telemetry.ts';
import { emptyLog, logPosition, setLineage, writeEvents } from '../infra/postgresRestore.ts';
import { othersConnected } from '../infra/postgresBackup.ts';
import type { Settings } from '../infra/config.ts';
import { openDatabase, type Database } from '../infra/database.ts';
import { startEmbeddedPostgres } from '../infra/embeddedPostgres.ts';
import { migrate } from '../infra/migrate.ts';
import { createPostgresEventStore } from '../infra/postgresEventStore.ts';
import { identitySeal, systemClock } from '../infra/system.ts';

export interface RestoreTarget {
  readonly knex: Knex;
  readonly store: EventStore;
  readonly where: string;
  /** Position of the last event; 0 only for a log that has never had one. */
  position(): Promise<number>;
  /** Whether events keep the positions that a log without gaps gave them. */
  readonly keepsPositions: boolean;
  /** Events to write at once, at most. */
  readonly batch: { readonly events: number; readonly chars: number };
  write(events: readonly StoredRecord[]): Promise<void>;
  setLineage(lineage: string): Promise<void>;
  /** Empties what an interrupted restore wrote. @throws Refusal `conflict` where that cannot be done. */
  empty(): Promise<void>;
  /** Processes of this program that use the database now. */
  others(): Promise<number>;
  close(): Promise<void>;
}

const NAME = 'colloquy-restore';
const POOL = 4;

/** Opens what the settings name; brings its tables up to date. @throws Refusal when it cannot be used. */
export async function openRestoreTarget(settings: Settings, log: Log): Promise<RestoreTarget> {
  const url = settings.DATABASE_URL;
  const onFault = (error: Error) => log.error({ err: error }, 'the embedded database had to be opened again');
  const engine = url === undefined ? await startEmbeddedPostgres({ dataDir: settings.COLLOQUY_DATA, onFault }) : null;
  const embedded = engine !== null;
  const connection = engine?.connection ?? url ?? '';
  const database = openDatabase({ connection, poolMax: POOL, embedded, applicationName: NAME });
  const close = async () => {
    await database.close();
    await engine?.stop();
  };
  try {
    await migrate(database.knex);
    const { EVENTSTORE_URL: eventStore } = settings;
    if (eventStore !== undefined) return await intoEventStoreDb(eventStore, database, close);
    return intoPostgres(database, settings, close);
  } catch (error) {
    await close();
    throw error;
  }
}

function intoPostgres(database: Database, settings: Settings, close: () => Promise<void>): RestoreTarget {
  const { knex, pool, embedded } = database;
  const codec = createCodec(identitySeal);
  const store = createPostgresEventStore({ pool, codec, embedded, clock: systemClock });
  return {
    knex,
    store,
    where: embedded ? settings.COLLOQUY_DATA : 'PostgreSQL at DATABASE_URL',
    keepsPositions: true,
    batch: embedded ? { events: 2_000, chars: 4_000_000 } : { events: 20_000, chars: 32_000_000 },
    position: () => logPosition(knex),
    write: (events) => writeEvents(knex, events, embedded),
    setLineage: (lineage) => setLineage(knex, lineage),
    empty: () => emptyLog(knex),
    others: () => (embedded ? Promise.resolve(0) : othersConnected(knex, NAME)),
    async close() {
      await store.close();
      await close();
    },
  };
}

async function intoEventStoreDb(url: string, { knex }: Database, close: () => Promise<void>): Promise<RestoreTarget> {
  const { createEventStoreDb } = await import('../infra/eventstoredb.ts');
  const onError = () => undefined;
  const store = createEventStoreDb({ url, codec: createCodec(identitySeal), clock: systemClock, onError });
  return {
    knex,
    store,
    where: 'EventStoreDB at EVENTSTORE_URL',
    keepsPositions: false,
    batch: { events: 1_000, chars: 4_000_000 },
    position: async () => Number(await store.head()),
    write: (events) => store.writeStored(events),
    setLineage: (lineage) => store.adoptLineage(lineage),
    empty() {
      throw new Refusal('conflict', 'an EventStoreDB is emptied by giving it a new data folder, not from here');
    },
    others: () => othersConnected(knex, NAME),
    async close() {
      await store.close();
      await close();
    },
  };
}
