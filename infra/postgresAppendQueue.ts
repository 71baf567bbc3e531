/**
 * Group commit: appends that wait while a transaction commits share the next one. One commit costs one write to the disk
 * however many events it holds, and the log's lock lets only one commit at a time through anyway.
 */
import type pg from 'pg';
import type { Appended } from '../domain/ports.ts';
import { Refusal, UnknownOutcome, WrongExpectedRevision } from '../domain/refusal.ts';
import type { EncodedAppend } from './appendRules.ts';
import type { StoredRow } from './logPages.ts';
import { isCulprits, type Lost, rangeOf, repeated, sendBatch } from './postgresAppendBatch.ts';
import { asRefusal } from './postgresQuery.ts';
import type { Reads } from './postgresReads.ts';

const BATCH_APPENDS = 256;
const BATCH_BYTES = 4 * 1024 * 1024;
/** From here on a batch is sent without waiting for more. */
const WORTH_SENDING_BYTES = 32 * 1024;
const BATCHES_AT_ONCE = 2;
const WAITING_APPENDS = 10_000;
const WAITING_BYTES = 64 * 1024 * 1024;
/** An append that has waited so long is refused before it is sent: its caller's request has nearly run out of time. */
const WAITING_MS = 10_000;

interface Waiting extends EncodedAppend {
  readonly sinceMs: number;
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: Error) => void;
}

export interface AppendQueue {
  /** Resolves when durable; rejects with `Refusal`, `WrongExpectedRevision` or `UnknownOutcome`, as the port says. */
  append(append: EncodedAppend): Promise<Appended>;
  /** Refuses what waits and resolves when what was sent is answered. */
  close(): Promise<void>;
  stats(): { waiting: number; batches: number; appended: number };
}

export interface AppendQueueOptions {
  readonly pool: pg.Pool;
  /** See `sendBatch`. */
  readonly writer: string | null;
  readonly reads: Reads;
  /** Told of every commit of this process, in order, before its appends are answered. */
  readonly onCommitted: (rows: readonly StoredRow[]) => void;
}

/** Bounded: 10,000 appends or 64 MiB may wait, none longer than 10 s before it is sent. */
export function createAppendQueue(options: AppendQueueOptions): AppendQueue {
  const queue: Queue = { waiting: [], bytes: 0, busy: new Set(), sending: new Set(), batches: 0, appended: 0 };
  let closed = false;
  let planned = false;
  const send = (batch: readonly Waiting[]): void => {
    queue.batches += 1;
    for (const { stream } of batch) queue.busy.add(stream);
    const sent = write(options, batch).then((count) => {
      queue.appended += count;
      for (const { stream } of batch) queue.busy.delete(stream);
      queue.sending.delete(sent);
      plan();
    });
    queue.sending.add(sent);
  };
  const pump = (): void => {
    while (queue.waiting.length > 0 && mayStart(queue)) {
      const { batch, late, rest } = takeBatch(queue.waiting, queue.busy);
      queue.waiting = rest;
      queue.bytes = rest.reduce((total, { bytes }) => total + bytes, 0);
      for (const append of late) append.reject(busy('the log is behind with writing'));
      if (batch.length === 0) return;
      send(batch);
    }
  };
  // Appends answered by the last commit come back within the same turn of the event loop: gather them first, else every
  // second batch holds a single append.
  const plan = (): void => {
    if (planned) return;
    planned = true;
    setImmediate(() => {
      planned = false;
      pump();
    });
  };
  return {
    append(append) {
      if (closed) return Promise.reject(busy('the log is closed'));
      if (queue.waiting.length >= WAITING_APPENDS || queue.bytes + append.bytes > WAITING_BYTES)
        return Promise.reject(busy('too many appends are waiting'));
      return new Promise((resolve, reject) => {
        queue.waiting.push({ ...append, sinceMs: performance.now(), resolve, reject });
        queue.bytes += append.bytes;
        if (queue.bytes >= WORTH_SENDING_BYTES) pump();
        else plan();
      });
    },
    async close() {
      closed = true;
      for (const { reject } of queue.waiting.splice(0)) reject(busy('the log is closed'));
      await Promise.all(queue.sending);
    },
    stats: () => ({ waiting: queue.waiting.length, batches: queue.batches, appended: queue.appended }),
  };
}

interface Queue {
  waiting: Waiting[];
  bytes: number;
  /** Streams with an append under way: the next one to them waits for its end. */
  readonly busy: Set<string>;
  readonly sending: Set<Promise<void>>;
  batches: number;
  appended: number;
}

/** A second batch under way lets us encode while the server writes, but takes from the first unless there is a lot. */
function mayStart({ sending, bytes }: Queue): boolean {
  return sending.size === 0 || (sending.size < BATCHES_AT_ONCE && bytes >= WORTH_SENDING_BYTES);
}

/** The first appends that fit, one to each stream that is not busy. */
function takeBatch(
  waiting: readonly Waiting[],
  busyStreams: ReadonlySet<string>,
): { batch: Waiting[]; late: Waiting[]; rest: Waiting[] } {
  const [batch, late, rest]: [Waiting[], Waiting[], Waiting[]] = [[], [], []];
  const streams = new Set(busyStreams);
  const oldestMs = performance.now() - WAITING_MS;
  let bytes = 0;
  let full = false;
  for (const append of waiting) {
    full ||= batch.length >= BATCH_APPENDS || (batch.length > 0 && bytes + append.bytes > BATCH_BYTES);
    if (append.sinceMs < oldestMs) late.push(append);
    else if (full || streams.has(append.stream)) rest.push(append);
    else {
      batch.push(append);
      bytes += append.bytes;
    }
    streams.add(append.stream);
  }
  return { batch, late, rest };
}

/** Settles every append of the batch, never rejects. Answers how many were written. */
async function write(options: AppendQueueOptions, batch: readonly Waiting[]): Promise<number> {
  try {
    const { rows, written, lost } = await sendBatch(options.pool, options.writer, batch);
    for (const { append, position } of written)
      append.resolve({ revision: append.expected + append.events.length, position: BigInt(position) });
    // Their callers go on when this function next waits, so subscribers are told first.
    if (rows.length > 0) options.onCommitted(rows);
    if (lost.length > 0) await settleLost(options.reads, lost);
    return written.length;
  } catch (error) {
    if (isCulprits(error) && batch.length > 1) {
      // One append's fault undoes its neighbours' too: halve until it stands alone.
      const middle = batch.length >> 1;
      return (await write(options, batch.slice(0, middle))) + (await write(options, batch.slice(middle)));
    }
    for (const append of batch) append.reject(failureOf(append, error));
    return 0;
  }
}

/** A repeated append finds its own events behind the expected revision; any other one came too late or too early. */
async function settleLost(reads: Reads, lost: readonly Lost<Waiting>[]): Promise<void> {
  const perhaps = lost.filter(({ append, actual }) => actual >= append.expected + append.events.length);
  const found = await reads.ranges(perhaps.map(({ append }) => rangeOf(append))).catch((error: unknown) => {
    // Not a refusal: should one of these be a repetition, the outcome of its first try is still not known.
    for (const { append } of perhaps) append.reject(new UnknownOutcome('the database did not answer', error));
    return [];
  });
  for (const { append, actual } of lost) {
    const first = repeated(append, found);
    if (first !== null) append.resolve(first);
    else append.reject(new WrongExpectedRevision(append.stream, append.expected, actual));
  }
}

function failureOf(append: Waiting, error: unknown): Error {
  if (error instanceof UnknownOutcome) return error;
  if (isCulprits(error) && error.constraint === 'events_id_unique')
    return new WrongExpectedRevision(append.stream, append.expected, undefined);
  return asRefusal(error);
}

function busy(detail: string): Refusal {
  return new Refusal('unavailable', detail, { retryAfterMs: 1000 });
}
