/** The last events of a log in memory, bounded in number and size: knows no technology. Positions may have gaps. */
import type { Codec } from '../domain/codec.ts';
import type { RecordedEvent } from '../domain/envelope.ts';
import { decodeRows, PAGE_EVENTS, type StoredRow } from './logPages.ts';

const TAIL_EVENTS = 8_192;
/** UTF-16 units of data and metadata. */
const TAIL_CHARS = 32 * 1024 * 1024;
/** Units of one slice out of memory; reads bound themselves. */
const SLICE_CHARS = 8 * 1024 * 1024;

/** An event as stored, and as decoded once somebody asked. */
export interface TailEntry extends StoredRow {
  decoded?: Promise<RecordedEvent>;
}

export interface Ring {
  /** Every event of the log behind this position, up to `end`, is here. */
  floor(): number;
  /** Position of the last entry; the floor when there is none. */
  end(): number;
  /** Forgets everything; the ring begins behind this position. */
  restart(floor: number): void;
  /** Adds the events that follow `behind` in the log; those that are here already are left out. */
  push(rows: readonly StoredRow[], behind: number): void;
  /** Entries behind a position from the floor on, at most 1,000. */
  slice(position: number): readonly TailEntry[];
  stats(): { events: number; chars: number };
}

/** Empty, with its floor at 0. The oldest entries are dropped first. */
export function createRing(): Ring {
  let entries: TailEntry[] = [];
  /** Entries before this index are dropped already; the array is cut now and then, not for every event. */
  let dropped = 0;
  let floor = 0;
  let end = 0;
  let chars = 0;
  const size = (row: StoredRow): number => row.data.length + row.metadata.length;
  const count = (): number => entries.length - dropped;
  const restart = (position: number): void => {
    entries = [];
    dropped = 0;
    chars = 0;
    floor = position;
    end = position;
  };
  const dropOldest = (): void => {
    while (count() > TAIL_EVENTS || (chars > TAIL_CHARS && count() > 0)) {
      const oldest = entries[dropped];
      if (oldest !== undefined) {
        chars -= size(oldest);
        floor = oldest.position;
      }
      dropped += 1;
    }
    if (dropped <= TAIL_EVENTS) return;
    entries = entries.slice(dropped);
    dropped = 0;
  };
  return {
    floor: () => floor,
    end: () => end,
    restart,
    push(rows, behind) {
      if (behind > end) restart(behind);
      for (const row of rows) {
        if (row.position <= end) continue;
        entries.push({ ...row });
        chars += size(row);
        end = row.position;
      }
      dropOldest();
    },
    slice(position) {
      const from = firstBehind(entries, dropped, position);
      let until = from;
      let total = 0;
      while (until < entries.length && until - from < PAGE_EVENTS && total < SLICE_CHARS) {
        const entry = entries[until];
        if (entry !== undefined) total += size(entry);
        until += 1;
      }
      return entries.slice(from, until);
    },
    stats: () => ({ events: count(), chars }),
  };
}

/** Index of the first entry behind a position. */
function firstBehind(entries: readonly TailEntry[], start: number, position: number): number {
  let [low, high] = [start, entries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((entries[middle]?.position ?? Infinity) <= position) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Decodes what nobody decoded yet, in one go; a failure is forgotten, so that the next reader tries again. */
export async function decodeEntries(codec: Codec, entries: readonly TailEntry[]): Promise<RecordedEvent[]> {
  const missing = entries.filter((entry) => entry.decoded === undefined);
  if (missing.length > 0) {
    const batch = decodeRows(codec, missing);
    for (const [i, entry] of missing.entries()) {
      entry.decoded = batch.then((events) => {
        const event = events[i];
        if (event === undefined) throw new Error('the codec answered fewer events than it was given');
        return event;
      });
      entry.decoded.catch(() => delete entry.decoded);
    }
  }
  const events: RecordedEvent[] = [];
  for (const { decoded } of entries) if (decoded !== undefined) events.push(await decoded);
  return events;
}
