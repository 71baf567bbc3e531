/** The last events of the log in memory, at positions without a gap, bounded in number and size. */
import type { RecordedEvent } from '../domain/envelope.ts';
import { PAGE_EVENTS, type StoredRow } from './postgresReads.ts';

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
  /** Position of the first entry; one above `end` when there is none. */
  start(): number;
  /** Position of the last entry. */
  end(): number;
  restart(start: number): void;
  push(rows: readonly StoredRow[]): void;
  slice(position: number): readonly TailEntry[];
  stats(): { events: number; chars: number };
}

/** Empty, with its end in front of position 1. The oldest entries are dropped first. */
export function createRing(): Ring {
  let entries: TailEntry[] = [];
  /** Entries before this index are dropped already; the array is cut now and then, not for every event. */
  let dropped = 0;
  let next = 1;
  let chars = 0;
  const size = (row: StoredRow): number => row.data.length + row.metadata.length;
  const count = (): number => entries.length - dropped;
  const restart = (start: number): void => {
    entries = [];
    dropped = 0;
    chars = 0;
    next = start;
  };
  const dropOldest = (): void => {
    while (count() > TAIL_EVENTS || (chars > TAIL_CHARS && count() > 0)) {
      const oldest = entries[dropped];
      if (oldest !== undefined) chars -= size(oldest);
      dropped += 1;
    }
    if (dropped <= TAIL_EVENTS) return;
    entries = entries.slice(dropped);
    dropped = 0;
  };
  return {
    start: () => next - count(),
    end: () => next - 1,
    restart,
    push(rows) {
      for (const row of rows) {
        if (row.position < next) continue;
        if (row.position > next) restart(row.position);
        entries.push({ ...row });
        chars += size(row);
        next += 1;
      }
      dropOldest();
    },
    slice(position) {
      const from = entries.length - (next - 1 - position);
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
