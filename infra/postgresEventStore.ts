/** The EventStore port on PostgreSQL 15 or newer, and on PGlite behind a socket. */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Codec } from '../domain/codec.ts';
import type { Clock, EventStore } from '../domain/ports.ts';
import { encodeAppend } from './appendRules.ts';
import { readAll, readStored, readStream } from './logPages.ts';
import { createAppendQueue } from './postgresAppendQueue.ts';
import { createReads } from './postgresReads.ts';
import { createTail } from './postgresTail.ts';
import { createWatch, realSleep } from './postgresWatch.ts';
import { createSubscriptions } from './tailFollow.ts';

export interface PostgresEventStoreOptions {
  readonly pool: pg.Pool;
  readonly codec: Codec;
  /** PGlite: unnamed statements, no LISTEN. */
  readonly embedded: boolean;
  readonly clock?: Pick<Clock, 'sleep'>;
  /** Told of troubles that the store deals with by itself: a lost listener, a read tried again. */
  readonly onError?: (error: Error) => void;
}

export interface PostgresEventStore extends EventStore {
  /** Ends subscriptions, refuses what waits, resolves when what was sent is answered. The pool stays open. */
  close(): Promise<void>;
  stats(): PostgresEventStoreStats;
}

export interface PostgresEventStoreStats {
  readonly appends: { waiting: number; batches: number; appended: number };
  readonly tail: { events: number; chars: number; waiting: number };
  readonly subscriptions: number;
  readonly listening: boolean;
}

/**
 * The log in the tables of migration 001_log. Positions have no gaps. Appends of this process that are waiting share a
 * transaction; subscriptions near the end of the log are served from memory.
 */
export function createPostgresEventStore(options: PostgresEventStoreOptions): PostgresEventStore {
  const { pool, codec, embedded, clock = realSleep, onError = () => undefined } = options;
  const writer = embedded ? null : randomUUID();
  const reads = createReads(pool, !embedded);
  const tail = createTail(reads);
  const queue = createAppendQueue({ pool, writer, reads, onCommitted: (rows) => tail.committed(rows) });
  const watch = createWatch({
    pool,
    embedded,
    reads,
    clock,
    writer,
    onPosition: (position) => tail.reached(position),
    onError,
  });
  const subscriptions = createSubscriptions({ tail, codec, clock, onError, onBegin: () => watch.start() });
  return {
    append: async (stream, events, expected) => await queue.append(await encodeAppend(codec, stream, events, expected)),
    read: (stream, range) => readStream(reads, codec, stream, range ?? {}),
    readAll: (after, range) => readAll(reads, codec, after, range),
    readStored: (after, range) => readStored(reads, after, range),
    subscribe: (after, { signal }) => subscriptions.subscribe(after, signal),
    head: async () => BigInt(await reads.head()),
    lineage: () => reads.lineage(),
    async close() {
      subscriptions.close();
      await Promise.all([queue.close(), watch.close()]);
    },
    stats: () => ({
      appends: queue.stats(),
      tail: tail.stats(),
      subscriptions: subscriptions.count(),
      listening: watch.listening(),
    }),
  };
}
