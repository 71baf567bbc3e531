/** The EventStore port on EventStoreDB 23.10 or newer, a single node or a cluster. */
import type { Codec, StoredRecord } from '../domain/codec.ts';
import type { Clock, EventStore } from '../domain/ports.ts';
import type { RecordedEvent } from '../domain/envelope.ts';
import { Refusal } from '../domain/refusal.ts';
import { encodeAppend, storedAppends } from './appendRules.ts';
import { createAppends } from './eventstoredbAppend.ts';
import {
  bounded,
  connect,
  type Connection,
  type Credentials,
  type EventStoreDbDeadlines,
} from './eventstoredbConnection.ts';
import { createGate } from './eventstoredbGate.ts';
import { createReads, type Reads } from './eventstoredbReads.ts';
import { createTail } from './eventstoredbTail.ts';
import { PAGE_EVENTS, recorded, readStored, readStream } from './logPages.ts';
import { createSubscriptions } from './tailFollow.ts';

const KINDS = ['discussion', 'agent', 'project'];
const DEADLINES: EventStoreDbDeadlines = { appendMs: 10_000, quietMs: 10_000, watchMs: 5_000 };
/** Together with the one subscription well below the 100 calls that a connection carries. */
const APPENDS = { places: 60, maxWaiting: 10_000, maxWaitingBytes: 64 * 1024 * 1024, waitMs: 10_000 };
const READS = { places: 30, maxWaiting: 10_000, maxWaitingBytes: Infinity, waitMs: 15_000 };
/** The first line of servers that say when a subscription has caught up. */
const OLDEST = { year: 23, month: 10 };

export interface EventStoreDbOptions {
  /** `esdb://` or `esdb+discover://`; may hold user and password. */
  readonly url: string;
  readonly codec: Codec;
  readonly clock: Pick<Clock, 'sleep'>;
  /** Told of troubles that the store deals with by itself: a lost subscription, a read tried again. */
  readonly onError: (error: Error) => void;
  /** Instead of those in the URL. */
  readonly credentials?: Credentials;
  /** Kinds of the streams that are ours; others on the server are never shown. */
  readonly kinds?: readonly string[];
  readonly deadlines?: Partial<EventStoreDbDeadlines>;
}

export interface EventStoreDB extends EventStore {
  /**
   * Sees to it that the server answers, is new enough and lets us read its log; for the start of a process.
   * @throws Refusal `unavailable`, which says what to do.
   */
  check(): Promise<{ version: string | null }>;
  /** Appends events as they are stored elsewhere, one after the other; those that are there already are passed over. */
  writeStored(records: readonly StoredRecord[]): Promise<void>;
  /** Gives a new log the lineage of another one. @throws Refusal `conflict` when it has one of its own already. */
  adoptLineage(lineage: string): Promise<void>;
  /** Ends subscriptions, refuses what waits, resolves when appends under way are answered or their time was up. */
  close(): Promise<void>;
  stats(): EventStoreDbStats;
}

export interface EventStoreDbStats {
  readonly appends: { waiting: number; underWay: number; appended: number };
  readonly reads: { waiting: number; underWay: number };
  readonly tail: { events: number; chars: number; waiting: number };
  readonly subscriptions: number;
  /** The one subscription to the server: whether it stands, and how often it was begun. */
  readonly live: { connected: boolean; subscribed: number };
}

/**
 * The log in streams of a server that may hold others too. Positions are commit positions: they have gaps. Subscribers
 * near the end are served from memory, which one subscription feeds; one behind it reads pages. A position that the log
 * does not hold ends a subscription with `Refusal('invalid')`. Event ids are compared with those at the same place only.
 * @throws Refusal `invalid` when the URL cannot be used.
 */
export function createEventStoreDb(options: EventStoreDbOptions): EventStoreDB {
  const { codec, clock, onError, kinds = KINDS } = options;
  const connection = connect(options.url, options.credentials, { ...DEADLINES, ...options.deadlines });
  const { deadlines } = connection;
  const appending = createGate(APPENDS);
  const reading = createGate(READS);
  const reads = createReads(connection, kinds, reading);
  const tail = createTail({ reads, deadlines, clock, onError });
  const appends = createAppends(connection, reads, appending, (position) => tail.appended(position));
  const subscriptions = createSubscriptions({ tail, codec, clock, onError, onBegin: () => tail.start() });
  return {
    append: async (stream, events, expected) =>
      await appends.append(await encodeAppend(codec, stream, events, expected)),
    read: (stream, range) => readStream(reads, codec, stream, range ?? {}),
    readAll: (after, range) => readParsed(reads, codec, after, range ?? {}),
    readStored: (after, range) => readStored(reads, after, range),
    subscribe: (after, { signal }) => subscriptions.subscribe(after, signal),
    head: async () => BigInt(await reads.head()),
    lineage: () => appends.lineage(),
    adoptLineage: (lineage) => appends.adoptLineage(lineage),
    async writeStored(records) {
      for (const one of storedAppends(records)) await appends.append(one);
    },
    async check() {
      // First: an unreachable server is worth its own words.
      await reads.head();
      return { version: await versionOf(connection) };
    },
    async close() {
      subscriptions.close();
      await appending.close();
      await Promise.all([reading.close(), tail.close(), connection.close()]);
    },
    stats() {
      const { connected, subscribed, ...ring } = tail.stats();
      return {
        appends: { ...appending.stats(), appended: appends.count() },
        reads: reading.stats(),
        tail: ring,
        subscriptions: subscriptions.count(),
        live: { connected, subscribed },
      };
    },
  };
}

async function* readParsed(
  reads: Reads,
  codec: Codec,
  after: bigint,
  { limit = Infinity, types }: { limit?: number; types?: readonly string[] },
): AsyncGenerator<RecordedEvent> {
  let position = Number(after);
  for (let left = limit; left > 0;) {
    const { rows, more } = await reads.parsedAfter(position, Math.min(left, PAGE_EVENTS), types ?? null);
    yield* recorded(await codec.decodeParsed(rows), rows);
    const last = rows.at(-1);
    if (!more || last === undefined) return;
    left -= rows.length;
    position = last.position;
  }
}

/** Null when the server does not tell. */
async function versionOf({ client, deadlines }: Connection): Promise<string | null> {
  // Not part of the client's types, and without a deadline.
  const asked: unknown = Reflect.get(client, 'capabilities');
  const features = await bounded(Promise.resolve(asked), deadlines.quietMs).catch(() => null);
  const version: unknown =
    typeof features === 'object' && features !== null ? Reflect.get(features, 'serverVersion') : null;
  const [, year, month] = /^(\d+)\.(\d+)/.exec(String(version)) ?? [];
  if (year === undefined || month === undefined) return null;
  if (Number(year) < OLDEST.year || (Number(year) === OLDEST.year && Number(month) < OLDEST.month))
    throw new Refusal('unavailable', `EventStoreDB ${String(version)} is too old: use 23.10 or newer`, {
      retryable: false,
    });
  return String(version);
}
