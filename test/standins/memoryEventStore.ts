import { createCodec, type Codec, type StoredEvent, type StoredRecord } from '../../domain/codec.ts';
import type { NewEvent, RecordedEvent } from '../../domain/envelope.ts';
import { NO_STREAM, type Appended, type EventStore, type Slice } from '../../domain/ports.ts';
import { Refusal, WrongExpectedRevision } from '../../domain/refusal.ts';

const APPEND_CHARS = 900 * 1024;
const STREAM_NAME = /^(?=.{1,200}$)[a-z]+-[A-Za-z0-9-]+$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const SLICE_EVENTS = 1_000;
const LINEAGE = '00000000-0000-4000-8000-000000000000';

/** The log in memory, with the decisions of the port's contract. */
export interface MemoryEventStore extends EventStore {
  /** All events, in log order. */
  readonly events: readonly RecordedEvent[];
  /** Ends subscriptions; what comes after is refused. */
  close(): void;
}

const plainCodec = createCodec({
  seal: async (texts) => texts.map(({ text }) => text),
  open: async (texts) => texts.map(({ text }) => text),
});

/**
 * @param options.gap distance between positions: some logs leave gaps.
 * @param options.codec the way of events into the log and out of it, without a seal unless given.
 */
export function createMemoryEventStore(options: { gap?: bigint; codec?: Codec } = {}): MemoryEventStore {
  const { gap = 1n, codec = plainCodec } = options;
  const log: RecordedEvent[] = [];
  const texts: StoredRecord[] = [];
  const streams = new Map<string, RecordedEvent[]>();
  const ids = new Set<string>();
  const waiting = new Set<() => void>();
  const closing = new AbortController();

  const put = (stream: string, batch: readonly NewEvent[], stored: readonly StoredEvent[]): Appended => {
    const there = streams.get(stream) ?? [];
    for (const [i, event] of batch.entries()) {
      const position = BigInt(log.length + 1) * gap;
      // A copy that nobody can change: whoever mutated an event would change history for everybody else.
      const recorded = frozen({ ...event, stream, revision: there.length, position });
      const text = stored[i];
      if (text !== undefined) texts.push({ ...text, stream, revision: there.length, position });
      there.push(recorded);
      log.push(recorded);
      ids.add(event.id);
    }
    streams.set(stream, there);
    for (const wake of [...waiting]) wake();
    return { revision: there.length - 1, position: BigInt(log.length) * gap };
  };

  return {
    events: log,
    close: () => closing.abort(),
    async append(stream, given, expected) {
      if (closing.signal.aborted) throw new Refusal('unavailable', 'the log is closed');
      const { stored, decoded } = await throughCodec(codec, stream, checked(stream, given, expected));
      const there = streams.get(stream) ?? [];
      const actual = there.length - 1;
      if (expected !== actual || decoded.some((event) => ids.has(event.id))) {
        const first = repeated(there, decoded, expected);
        if (first) return first;
        throw new WrongExpectedRevision(stream, expected, actual);
      }
      return put(stream, decoded, stored);
    },
    read: (stream, range) => readStream(streams.get(stream) ?? [], range ?? {}),
    async *readAll(after, { limit = Infinity, types } = {}) {
      let left = limit;
      for (let index = indexAfter(after, gap); left > 0 && index < log.length; index += 1) {
        const event = log[index];
        if (event === undefined || types?.includes(event.type) === false) continue;
        left -= 1;
        yield event;
      }
    },
    readStored: (after, range) => storedOf(texts, indexAfter(after, gap), range),
    subscribe: (after, { signal }) =>
      follow(log, indexAfter(after, gap), AbortSignal.any([signal, closing.signal]), waiting),
    head: async () => BigInt(log.length) * gap,
    lineage: async () => LINEAGE,
  };
}

async function* storedOf(
  texts: readonly StoredRecord[],
  from: number,
  { limit = Infinity, stream }: { limit?: number; stream?: string } = {},
): AsyncIterable<StoredRecord> {
  let left = limit;
  for (let index = from; left > 0 && index < texts.length; index += 1) {
    const record = texts[index];
    if (record === undefined || (stream !== undefined && record.stream !== stream)) continue;
    left -= 1;
    yield record;
  }
}

async function* readStream(
  there: readonly RecordedEvent[],
  { from, backwards = false, limit = Infinity }: { from?: number; backwards?: boolean; limit?: number },
): AsyncIterable<RecordedEvent> {
  const end = there.length - 1;
  let at = backwards ? Math.min(from ?? end, end) : (from ?? 0);
  for (let left = limit; left > 0; left -= 1, at += backwards ? -1 : 1) {
    const event = there[at];
    if (event === undefined) return;
    yield event;
  }
}

/** The batch with its ids in lower case, in which they are compared. */
function checked(stream: string, given: readonly NewEvent[], expected: number): NewEvent[] {
  const batch = given.map((event) => ({ ...event, id: event.id.toLowerCase() }));
  if (!STREAM_NAME.test(stream)) throw new Refusal('invalid', 'a stream is named <kind>-<id>');
  if (!Number.isSafeInteger(expected) || expected < NO_STREAM)
    throw new Refusal('invalid', 'the expected revision is a whole number from -1');
  if (batch.length === 0) throw new Refusal('invalid', 'a batch needs at least one event');
  if (!batch.every(({ id }) => UUID.test(id))) throw new Refusal('invalid', 'the id of an event is a UUID');
  if (new Set(batch.map((event) => event.id)).size < batch.length)
    throw new Refusal('invalid', 'an event id occurs twice in the batch');
  return batch;
}

/** Events as they come back from a log that keeps bytes: what JSON does not keep is not there either. */
async function throughCodec(
  codec: Codec,
  stream: string,
  batch: readonly NewEvent[],
): Promise<{ stored: StoredEvent[]; decoded: NewEvent[] }> {
  const stored = await codec.encode(stream, batch);
  if (stored.reduce((sum, event) => sum + charsOf(event), 0) > APPEND_CHARS)
    throw new Refusal('too-large', 'the batch is too large for one append');
  return { stored, decoded: await codec.decode(stored.map((event) => ({ ...event, stream }))) };
}

function charsOf({ data, metadata }: StoredEvent): number {
  return Buffer.byteLength(data) + Buffer.byteLength(metadata);
}

/** What the same batch was answered the first time; null when it was never written there. */
function repeated(there: readonly RecordedEvent[], batch: readonly NewEvent[], expected: number): Appended | null {
  const written = there.slice(expected + 1, expected + 1 + batch.length);
  const last = written.at(-1);
  if (last === undefined || written.length < batch.length) return null;
  if (batch.some((event, i) => event.id !== written[i]?.id)) return null;
  return { revision: last.revision, position: last.position };
}

function indexAfter(after: bigint, gap: bigint): number {
  return after < 0n ? 0 : Number(after / gap);
}

/** Not a generator: its `return` would wait for the `next` under way, which waits for an event. */
function follow(
  log: readonly RecordedEvent[],
  from: number,
  signal: AbortSignal,
  waiting: Set<() => void>,
): AsyncIterable<Slice> {
  const left = new AbortController();
  const over = AbortSignal.any([signal, left.signal]);
  const end: IteratorReturnResult<undefined> = { done: true, value: undefined };
  let index = from;
  let saidCaughtUp = false;
  const next = async (): Promise<IteratorResult<Slice, undefined>> => {
    while (saidCaughtUp && index >= log.length && !over.aborted) await grown(waiting, over);
    if (over.aborted) return end;
    const events = log.slice(index, index + SLICE_EVENTS);
    index += events.length;
    saidCaughtUp = index >= log.length;
    return { done: false, value: { events, caughtUp: saidCaughtUp } };
  };
  const leave = async (): Promise<IteratorReturnResult<undefined>> => {
    left.abort();
    return end;
  };
  return { [Symbol.asyncIterator]: () => ({ next, return: leave }) };
}

function grown(waiting: Set<() => void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      waiting.delete(done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    waiting.add(done);
    signal.addEventListener('abort', done, { once: true });
  });
}

function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const each of Object.values(value)) frozen(each);
  return value;
}
