/** Reading a log page by page, whichever server keeps it: knows no technology. */
import type { Codec, StoredEvent, StoredRecord } from '../domain/codec.ts';
import type { NewEvent, RecordedEvent } from '../domain/envelope.ts';

/** An event as stored, with its place. Positions are numbers inside adapters: they stay below 2^53 for ever. */
export interface StoredRow extends StoredEvent {
  readonly stream: string;
  readonly revision: number;
  readonly position: number;
}

export interface Page {
  readonly rows: readonly StoredRow[];
  /** False when there was nothing behind the page at the time. */
  readonly more: boolean;
}

/** Events of one page at most. */
export const PAGE_EVENTS = 1_000;
/** A page ends with the event whose data passes this many bytes: 1,000 events of the largest size are 900 MB. */
export const PAGE_BYTES = 8 * 1024 * 1024;

/** What a server's log is read with. Every failure is a `Refusal`. */
export interface PageReads {
  /** Events of a stream from revision `from` on, or down from it. */
  stream(stream: string, from: number, backwards: boolean, limit: number): Promise<Page>;
  /** Events behind a position, in order. */
  after(position: number, limit: number): Promise<Page>;
}

/** The events of a stream, as the EventStore port says. */
export async function* readStream(
  reads: PageReads,
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

/** The events of the log behind a position, as the EventStore port says. */
export async function* readAll(
  reads: PageReads,
  codec: Codec,
  after: bigint,
  { limit = Infinity, types }: { limit?: number; types?: readonly string[] } = {},
): AsyncGenerator<RecordedEvent> {
  if (types === undefined) {
    for await (const rows of pagesAfter(reads, after, limit)) yield* await decodeRows(codec, rows);
    return;
  }
  let left = limit;
  for await (const rows of pagesAfter(reads, after, Infinity)) {
    const wanted = rows.filter(({ type }) => types.includes(type)).slice(0, left);
    yield* await decodeRows(codec, wanted);
    left -= wanted.length;
    if (left <= 0) return;
  }
}

/** Events as they are stored, of the log or of one stream, as the EventStore port says. */
export async function* readStored(
  reads: PageReads,
  after: bigint,
  { limit = Infinity, stream }: { limit?: number; stream?: string } = {},
): AsyncGenerator<StoredRecord> {
  let left = limit;
  const pages = stream === undefined ? pagesAfter(reads, after, limit) : pagesOfStream(reads, stream);
  for await (const rows of pages)
    for (const row of rows) {
      if (row.position <= after) continue;
      if (left <= 0) return;
      left -= 1;
      const { stream: name, revision, position, id, type, schemaVersion, data, metadata } = row;
      yield { stream: name, revision, position: BigInt(position), id, type, schemaVersion, data, metadata };
    }
}

async function* pagesAfter(reads: PageReads, after: bigint, limit: number): AsyncGenerator<readonly StoredRow[]> {
  let position = Number(after);
  let left = limit;
  while (left > 0) {
    const { rows, more } = await reads.after(position, Math.min(left, PAGE_EVENTS));
    yield rows;
    const last = rows.at(-1);
    if (!more || last === undefined) return;
    left -= rows.length;
    position = last.position;
  }
}

async function* pagesOfStream(reads: PageReads, stream: string): AsyncGenerator<readonly StoredRow[]> {
  for (let from = 0; ;) {
    const { rows, more } = await reads.stream(stream, from, false, PAGE_EVENTS);
    yield rows;
    const last = rows.at(-1);
    if (!more || last === undefined) return;
    from = last.revision + 1;
  }
}

/** Rows as the port shows them, upcast and unsealed. */
export async function decodeRows(codec: Codec, rows: readonly StoredRow[]): Promise<RecordedEvent[]> {
  return recorded(await codec.decode(rows), rows);
}

/** Events that the codec has made of rows, with the places of those. */
export function recorded(
  events: readonly NewEvent[],
  rows: readonly Pick<StoredRow, 'stream' | 'revision' | 'position'>[],
): RecordedEvent[] {
  return rows.map((row, i) => {
    const event = events[i];
    if (event === undefined) throw new Error('the codec answered fewer events than it was given');
    const { id, type, schemaVersion, data, metadata } = event;
    const { stream, revision, position } = row;
    // Written out: spreading these objects took longer than parsing their JSON.
    return { id, type, schemaVersion, data, metadata, stream, revision, position: BigInt(position) };
  });
}
