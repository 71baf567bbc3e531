/** What a verifier can find, and which of the seven kinds of tampering it is. */
import type { StoredRecord } from '../codec.ts';
import { type Entry, entryAt, ENTRY_BYTES, leafOf } from './leaf.ts';

/** Something that is not as it was. */
export interface Finding {
  /** Whether history was tampered with, or what it is measured by. */
  readonly where: 'log' | 'evidence';
  readonly kind: string;
  readonly says: string;
  /** Place in the log counted from 0, null where none can be named. */
  readonly index: number | null;
  readonly position: string | null;
  readonly stream: string | null;
  readonly revision: number | null;
  readonly eventId: string | null;
  /** Leaf that the evidence holds, and that follows from the log. */
  readonly expected: string | null;
  readonly actual: string | null;
}

/** What stands in the log from a place on, and what should. */
export interface Difference {
  readonly index: number;
  /** The leaf before. */
  readonly previous: string;
  /** Packed entries from the place on. */
  readonly expected: Uint8Array;
  readonly actual: readonly StoredRecord[];
}

/** How far around a bad event its kind is looked for. */
export const LOOK_AROUND = 1_000;

/** A finding without a place. */
export function unplaced(where: Finding['where'], kind: string, says: string): Finding {
  const place = { index: null, position: null, stream: null, revision: null, eventId: null };
  return { where, kind, says, ...place, expected: null, actual: null };
}

/**
 * Names the first bad event of a log whose evidence holds other leaves from there on: what was done follows from which
 * of the expected events stand elsewhere near by, and which of those there are expected elsewhere.
 */
export function explain(difference: Difference): Finding {
  const { index, previous, expected, actual } = difference;
  const wanted = entryAt(expected, 0);
  const [there] = actual;
  const count = Math.min(LOOK_AROUND, expected.length / ENTRY_BYTES);
  const base = { where: 'log' as const, index, position: wanted.position.toString(), expected: wanted.leaf };
  if (there === undefined) {
    const nothing = { stream: null, revision: null, eventId: null, actual: null };
    return { ...base, kind: 'truncated', says: `the log ends before position ${wanted.position}`, ...nothing };
  }
  const { stream, revision, id: eventId } = there;
  const found = { ...base, stream, revision, eventId, actual: leafOf(there, previous) };
  const moved = actual.slice(1, LOOK_AROUND).some((record) => isEntry(record, wanted, previous));
  const expectedLater = Array.from({ length: count - 1 }, (_, i) => i + 1).some((i) =>
    isEntry(there, entryAt(expected, i), entryAt(expected, i - 1).leaf),
  );
  const at = `position ${wanted.position}`;
  if (moved && expectedLater)
    return { ...found, kind: 'reordered', says: `the event that belongs to ${at} stands later` };
  if (expectedLater) return { ...found, kind: 'missing', says: `the event of ${at} is missing; this one follows it` };
  const inserted = { ...found, position: there.position.toString() };
  if (moved) return { ...inserted, kind: 'inserted', says: `this event was not there; that of ${at} comes after it` };
  const [, next] = actual;
  const goesOn = count < 2 || (next !== undefined && isEntry(next, entryAt(expected, 1), wanted.leaf));
  if (goesOn) return { ...found, kind: 'changed', says: `the event at ${at} is not what it was` };
  return { ...found, kind: 'rewritten', says: `from ${at} on the log is another one than the evidence holds` };
}

/** Whether an event is the one of an entry, apart from its position, which whoever moved it may have changed. */
function isEntry(record: StoredRecord, { position, leaf }: Entry, previous: string): boolean {
  return leafOf({ ...record, position }, previous) === leaf;
}
