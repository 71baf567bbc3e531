/**
 * The log of the EventStoreDB stand-in: streams, positions and the append decisions as recorded of a real 24.6.0. In
 * memory; what is written goes through `persist` first. Of stream metadata only `$maxCount` and `$tb` count.
 */
import { randomUUID } from 'node:crypto';

/** A revision, or one of the words of the protocol. */
export type Expected = bigint | 'any' | 'no_stream' | 'stream_exists';

export interface ProposedEvent {
  readonly id: string;
  readonly type: string;
  readonly contentType: string;
  readonly data: Buffer;
  readonly metadata: Buffer;
}

export interface StoredEvent extends ProposedEvent {
  readonly stream: string;
  readonly revision: bigint;
  /** Commit and prepare position: the offset of its record. */
  readonly position: number;
  /** Since 1970, in units of 100 ns. */
  readonly created: string;
}

export interface LogRecord {
  readonly position: number;
  readonly sizeBytes: number;
  /** Null for records that no reader sees: the log's head, and what an empty append writes. */
  readonly event: StoredEvent | null;
  /** Whether a filtered reader's window counts it. */
  readonly counted: boolean;
}

/** `revision` is null where the stream has none; `position` is null where the event was truncated since. */
export type Appended =
  | { readonly outcome: 'written'; readonly revision: bigint | null; readonly position: number | null }
  | { readonly outcome: 'wrongRevision'; readonly current: bigint | null }
  | { readonly outcome: 'deleted' };

/** What a reader of one stream finds: `events` are those that are neither deleted nor truncated. */
export type StreamView =
  | { readonly state: 'missing' }
  | { readonly state: 'deleted' }
  | { readonly state: 'there'; readonly events: readonly StoredEvent[]; readonly last: bigint };

interface Stream {
  readonly events: StoredEvent[];
  tombstoned: boolean;
}

export interface StandinLog {
  readonly records: readonly LogRecord[];
  append(stream: string, expected: Expected, events: readonly ProposedEvent[]): Appended;
  /** Soft: the stream may come back, with its revisions going on. Hard: a tombstone, for ever. */
  remove(stream: string, expected: Expected, how: 'soft' | 'hard'): Appended;
  view(stream: string): StreamView;
  /** The index of the first record at or after a position, and whether a record begins there. */
  find(position: number): { readonly index: number; readonly exact: boolean };
  /** Where the next record will begin. */
  end(): number;
  /** Called after every write; returns what takes the listener away. */
  onWrite(listener: () => void): () => void;
}

/** The revision of the event that a tombstone writes. */
export const TOMBSTONE_REVISION = 9_223_372_036_854_775_807n;
const HEAD: LogRecord = { position: 0, sizeBytes: 548, event: null, counted: true };
const RECORD_BYTES = 90;
const RECENT_IDS = 100_000;

/** What a log holds, shared by the functions below. */
interface Book {
  readonly records: LogRecord[];
  readonly streams: Map<string, Stream>;
  /** The latest event of each id that this process has written. */
  readonly recent: Map<string, StoredEvent>;
  readonly listeners: Set<() => void>;
  readonly persist: (records: readonly LogRecord[]) => void;
}

/** A log with what `restored` holds, else a fresh one; `persist` is called with the new records before they count. */
export function createStandinLog(options: {
  restored?: readonly LogRecord[];
  persist?: (records: readonly LogRecord[]) => void;
}): StandinLog {
  const persist = options.persist ?? (() => undefined);
  const book: Book = { records: [HEAD], streams: new Map(), recent: new Map(), listeners: new Set(), persist };
  for (const record of options.restored ?? []) apply(book, record);
  if (!options.restored?.length) writeMetadata(book, '$scavenges', '{"$maxCount":1}');
  return {
    records: book.records,
    append: (stream, expected, events) => append(book, stream, expected, events),
    remove: (stream, expected, how) => remove(book, stream, expected, how),
    view: (stream) => view(book, stream),
    find: (position) => find(book, position),
    end: () => endOf(book),
    onWrite: (listener) => {
      book.listeners.add(listener);
      return () => void book.listeners.delete(listener);
    },
  };
}

function append(book: Book, stream: string, expected: Expected, events: readonly ProposedEvent[]): Appended {
  const found = book.streams.get(stream);
  const current = currentOf(found);
  if (found?.tombstoned) return { outcome: 'deleted' };
  if (expected === 'stream_exists') {
    if (isSoftDeleted(book, stream)) return { outcome: 'deleted' };
    if (current < 0n && !book.streams.has(`$$${stream}`)) return wrongRevision(found);
  }
  if (expected === 'any' || expected === 'stream_exists') {
    const known = events.map(({ id }) => book.recent.get(id)).map((event) => (event?.stream === stream ? event : null));
    const last = known.at(-1);
    if (!known[0]) return writeTo(book, stream, events);
    return last && known.every(Boolean) ? repeated(book, stream, last.revision) : wrongRevision(found);
  }
  const after = expected === 'no_stream' ? -1n : expected;
  if (after === current) return writeTo(book, stream, events);
  if (after > current || events.length === 0) return wrongRevision(found);
  const differs = events.findIndex(({ id }, index) => found?.events[Number(after) + 1 + index]?.id !== id);
  if (differs < 0) return repeated(book, stream, after + BigInt(events.length));
  const revives = differs === 0 && expected === 'no_stream' && isSoftDeleted(book, stream);
  return revives ? writeTo(book, stream, events) : wrongRevision(found);
}

function remove(book: Book, stream: string, expected: Expected, how: 'soft' | 'hard'): Appended {
  const found = book.streams.get(stream);
  const current = currentOf(found);
  if (found?.tombstoned) return { outcome: 'deleted' };
  const fits = typeof expected === 'bigint' ? expected === current : (expected === 'no_stream') === current < 0n;
  if (!fits) return wrongRevision(found);
  if (how === 'soft') return writeMetadata(book, stream, `{"$tb":${TOMBSTONE_REVISION}}`);
  const event = { id: randomUUID(), type: '$streamDeleted', contentType: 'application/octet-stream' };
  const entry = { ...event, data: Buffer.alloc(0), metadata: Buffer.alloc(0) };
  const position = write(book, stream, TOMBSTONE_REVISION, [entry]);
  return { outcome: 'written', revision: TOMBSTONE_REVISION, position };
}

function view(book: Book, stream: string): StreamView {
  const found = book.streams.get(stream);
  if (found?.tombstoned) return { state: 'deleted' };
  if (!found || isSoftDeleted(book, stream)) return { state: 'missing' };
  return { state: 'there', events: found.events.slice(visibleFrom(book, stream)), last: currentOf(found) };
}

function find(book: Book, position: number): { index: number; exact: boolean } {
  let low = 0;
  let high = book.records.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((book.records[middle]?.position ?? Infinity) < position) low = middle + 1;
    else high = middle;
  }
  return { index: low, exact: book.records[low]?.position === position || position === endOf(book) };
}

function writeTo(book: Book, stream: string, events: readonly ProposedEvent[]): Appended {
  const next = currentOf(book.streams.get(stream)) + 1n;
  const revived = events.length > 0 && isSoftDeleted(book, stream);
  const position = write(book, stream, next, events);
  if (revived) writeMetadata(book, stream, `{"$tb":${next}}`);
  const revision = next - 1n + BigInt(events.length);
  return { outcome: 'written', revision: revision < 0n ? null : revision, position };
}

function writeMetadata(book: Book, stream: string, json: string): Appended {
  const event = { id: randomUUID(), type: '$metadata', contentType: 'application/json' };
  return writeTo(book, `$$${stream}`, [{ ...event, data: Buffer.from(json), metadata: Buffer.alloc(0) }]);
}

/** Writes events from revision `first` on, or an empty append's record; answers the position of the last record. */
function write(book: Book, stream: string, first: bigint, events: readonly ProposedEvent[]): number {
  let end = endOf(book);
  const created = `${Date.now()}0000`;
  const records = events.map((event, index): LogRecord => {
    const position = end;
    const sizeBytes = RECORD_BYTES + stream.length + event.type.length + event.data.length + event.metadata.length;
    end += sizeBytes;
    const stored = { ...event, stream, revision: first + BigInt(index), position, created };
    return { position, sizeBytes, counted: true, event: stored };
  });
  if (records.length === 0) records.push({ position: end, sizeBytes: RECORD_BYTES, event: null, counted: false });
  book.persist(records);
  for (const record of records) {
    apply(book, record);
    if (record.event) book.recent.set(record.event.id, record.event);
  }
  for (const id of book.recent.keys()) {
    if (book.recent.size <= RECENT_IDS) break;
    book.recent.delete(id);
  }
  for (const listener of [...book.listeners]) listener();
  return records.at(-1)?.position ?? end;
}

function apply(book: Book, record: LogRecord): void {
  book.records.push(record);
  if (!record.event) return;
  const stream = book.streams.get(record.event.stream) ?? { events: [], tombstoned: false };
  book.streams.set(record.event.stream, stream);
  if (record.event.revision === TOMBSTONE_REVISION) stream.tombstoned = true;
  else stream.events.push(record.event);
}

function repeated(book: Book, stream: string, revision: bigint): Appended {
  const event = book.streams.get(stream)?.events[Number(revision)];
  const visible = event && visibleFrom(book, stream) <= Number(revision);
  return { outcome: 'written', revision, position: visible ? event.position : null };
}

function endOf(book: Book): number {
  const last = book.records.at(-1) ?? HEAD;
  return last.position + last.sizeBytes;
}

function isSoftDeleted(book: Book, stream: string): boolean {
  return visibleFrom(book, stream) > Number.MAX_SAFE_INTEGER;
}

function visibleFrom(book: Book, stream: string): number {
  const metadata = metadataOf(book.streams.get(`$$${stream}`)?.events.at(-1));
  const length = book.streams.get(stream)?.events.length ?? 0;
  return Math.max(metadata.truncateBefore, metadata.maxCount === null ? 0 : length - metadata.maxCount);
}

function currentOf(stream: Stream | undefined): bigint {
  return BigInt(stream?.events.length ?? 0) - 1n;
}

function wrongRevision(stream: Stream | undefined): Appended {
  const current = currentOf(stream);
  return { outcome: 'wrongRevision', current: current < 0n ? null : current };
}

function metadataOf(event: StoredEvent | undefined): { maxCount: number | null; truncateBefore: number } {
  try {
    const read: unknown = JSON.parse(event?.data.toString('utf8') ?? '{}');
    const fields = typeof read === 'object' && read !== null ? (read as Record<string, unknown>) : {};
    const maxCount = typeof fields['$maxCount'] === 'number' ? fields['$maxCount'] : null;
    return { maxCount, truncateBefore: typeof fields['$tb'] === 'number' ? fields['$tb'] : 0 };
  } catch {
    return { maxCount: null, truncateBefore: 0 };
  }
}
