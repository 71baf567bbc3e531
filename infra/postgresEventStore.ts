/** The EventStore port on PostgreSQL 15 or newer, and on PGlite behind a socket. */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Codec, StoredEvent } from '../domain/codec.ts';
import type { NewEvent, RecordedEvent } from '../domain/envelope.ts';
import { type Clock, type EventStore, NO_STREAM, type Slice } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { type EncodedAppend, SEPARATOR } from './postgresAppendBatch.ts';
import { createAppendQueue } from './postgresAppendQueue.ts';
import { createReads, PAGE_EVENTS, type Reads } from './postgresReads.ts';
import { createTail, decodeEntries, decodeRows, type Tail } from './postgresTail.ts';
import { createWatch, realSleep } from './postgresWatch.ts';

/** One append, encoded: EventStoreDB takes 1 MiB with its own framing, and a log can be moved between the two. */
const APPEND_BYTES = 900 * 1024;
/** What an event's id, type and framing add. */
const EVENT_BYTES = 128;
const LARGE_APPEND = 32;
const STREAM_NAME = /^[a-z]+-[A-Za-z0-9-]+$/;
const STREAM_CHARS = 200;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const RETRY_MS = { first: 50, longest: 5_000 };

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
  const subscriptions = new Set<AbortController>();
  let closed = false;
  return {
    append: async (stream, events, expected) => await queue.append(await encode(codec, stream, events, expected)),
    read: (stream, range) => readStream(reads, codec, stream, range ?? {}),
    readAll: (after, range) => readAll(reads, codec, after, range?.limit ?? Infinity),
    subscribe(after, { signal }) {
      const stop = new AbortController();
      const begin = (): void => {
        if (closed || signal.aborted) return stop.abort();
        subscriptions.add(stop);
        watch.start();
      };
      const slices = follow({ tail, codec, clock, onError }, Number(after), stop.signal);
      return leavable(slices, { signal, stop, begin, end: () => void subscriptions.delete(stop) });
    },
    head: async () => BigInt(await reads.head()),
    lineage: () => reads.lineage(),
    async close() {
      closed = true;
      for (const stop of subscriptions) stop.abort();
      await Promise.all([queue.close(), watch.close()]);
    },
    stats: () => ({
      appends: queue.stats(),
      tail: tail.stats(),
      subscriptions: subscriptions.size,
      listening: watch.listening(),
    }),
  };
}

async function encode(
  codec: Codec,
  stream: string,
  events: readonly NewEvent[],
  expected: number,
): Promise<EncodedAppend> {
  if (stream.length > STREAM_CHARS || !STREAM_NAME.test(stream))
    throw new Refusal('invalid', 'a stream is named <kind>-<id>, at most 200 characters of a-z, A-Z, 0-9 and -');
  if (!Number.isSafeInteger(expected) || expected < NO_STREAM)
    throw new Refusal('invalid', 'the expected revision is a whole number from -1');
  if (events.length === 0) throw new Refusal('invalid', 'an append holds at least one event');
  // Encoding takes some 20 µs an event: between large appends the event loop gets a turn, and the last one is sent.
  if (events.length >= LARGE_APPEND) await new Promise(setImmediate);
  const stored = (await codec.encode(stream, events)).map((event) => ({ ...event, id: event.id.toLowerCase() }));
  if (!stored.every(({ id }) => UUID.test(id))) throw new Refusal('invalid', 'the id of an event is a UUID');
  if (new Set(stored.map(({ id }) => id)).size < stored.length)
    throw new Refusal('invalid', 'an event id occurs twice in one append');
  const bytes = stored.reduce((total, event) => total + sizeOf(event), 0);
  if (bytes > APPEND_BYTES)
    throw new Refusal('too-large', `one append holds at most ${APPEND_BYTES} bytes, this one has ${bytes}`);
  return { stream, expected, events: stored, bytes };
}

function sizeOf({ type, data, metadata }: StoredEvent): number {
  for (const text of [type, data, metadata])
    if (text.includes(SEPARATOR) || text === '')
      throw new Refusal('internal', 'an event was not encoded as canonical JSON');
  return Buffer.byteLength(data) + Buffer.byteLength(metadata) + Buffer.byteLength(type) + EVENT_BYTES;
}

async function* readStream(
  reads: Reads,
  codec: Codec,
  stream: string,
  range: { from?: number; backwards?: boolean; limit?: number },
): AsyncGenerator<RecordedEvent> {
  const { backwards = false, limit = Infinity } = range;
  let from = range.from ?? (backwards ? Number.MAX_SAFE_INTEGER : 0);
  let left = limit;
  while (left > 0) {
    const { rows, more } = await reads.stream(stream, from, backwards, Math.min(left, PAGE_EVENTS));
    yield* await decodeRows(codec, rows);
    const last = rows.at(-1);
    if (!more || last === undefined) return;
    left -= rows.length;
    from = last.revision + (backwards ? -1 : 1);
  }
}

async function* readAll(reads: Reads, codec: Codec, after: bigint, limit: number): AsyncGenerator<RecordedEvent> {
  let position = Number(after);
  let left = limit;
  while (left > 0) {
    const { rows, more } = await reads.after(position, Math.min(left, PAGE_EVENTS));
    yield* await decodeRows(codec, rows);
    const last = rows.at(-1);
    if (!more || last === undefined) return;
    left -= rows.length;
    position = last.position;
  }
}

interface Following {
  readonly tail: Tail;
  readonly codec: Codec;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly onError: (error: Error) => void;
}

/** Slices from a position on until the signal aborts; trouble with the database is waited out. */
async function* follow(following: Following, after: number, signal: AbortSignal): AsyncGenerator<Slice> {
  const { tail, codec, clock, onError } = following;
  let position = after;
  let fresh = false;
  let toldCaughtUp = false;
  let retryMs = RETRY_MS.first;
  while (!signal.aborted) {
    let slice: Slice | null = null;
    try {
      if (!fresh) await tail.refresh();
      fresh = true;
      const entries = await tail.take(position);
      const events = await decodeEntries(codec, entries);
      position = entries.at(-1)?.position ?? position;
      const caughtUp = !tail.goesOn(position);
      if (events.length > 0 || (caughtUp && !toldCaughtUp)) slice = { events, caughtUp };
      retryMs = RETRY_MS.first;
    } catch (error) {
      onError(error instanceof Error ? error : new Error(String(error)));
      await clock.sleep(retryMs, signal);
      retryMs = Math.min(retryMs * 2, RETRY_MS.longest);
      continue;
    }
    if (signal.aborted) return;
    if (slice === null) await tail.grown(position, signal);
    else {
      toldCaughtUp = slice.caughtUp;
      yield slice;
    }
  }
}

interface Leaving {
  readonly signal: AbortSignal;
  readonly stop: AbortController;
  readonly begin: () => void;
  readonly end: () => void;
}

/**
 * An iterator that `return` ends even while `next` waits: a generator alone would only see it after the next event. It
 * holds nothing before the first `next`.
 */
function leavable(slices: AsyncGenerator<Slice>, { signal, stop, begin, end }: Leaving): AsyncIterableIterator<Slice> {
  let begun = false;
  const leave = (): void => {
    signal.removeEventListener('abort', leave);
    stop.abort();
    end();
  };
  const iterator: AsyncIterableIterator<Slice> = {
    [Symbol.asyncIterator]: () => iterator,
    async next() {
      if (!begun) {
        begun = true;
        signal.addEventListener('abort', leave);
        begin();
      }
      const result = await slices.next();
      if (result.done) leave();
      return result;
    },
    async return() {
      leave();
      return await slices.return(undefined);
    },
  };
  return iterator;
}
