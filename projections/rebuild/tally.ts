/** What the tables of a version must hold, kept while a rebuild folds: the log need not be read a second time. */
import type { RecordedEvent } from '../../domain/envelope.ts';
import type { Projection, Row, Table } from '../projection.ts';
import { createSums, type Sums } from './checksum.ts';
import { foldOfPart } from './fold.ts';

/** Of the log, what is folded a second time apart, one event after the other: a sixteenth, of large logs less. */
const LEAST_PARTS = 16;
const EVENTS_A_SAMPLE = 20_000;

export interface Tally {
  /** Ids of events that were passed over; whoever leaves out others expects other rows. */
  readonly skipped: ReadonlySet<string>;
  /** Events in the order of the log, before they are folded. */
  seen(events: readonly RecordedEvent[]): void;
  /** A row takes the place of another; null stands for none. */
  changed(table: Table, key: string, before: Row | null, after: Row | null): void;
  sums(table: Table): Sums;
  /** Every row of the part of the log that was folded apart, by key. */
  sample(table: Table): ReadonlyMap<string, Row>;
}

/**
 * An empty tally, for empty tables. The sums follow the rebuild's own fold, so that they find whatever was lost or changed
 * between it and the tables; the sample finds a fold whose large batches and cached rows make other rows than the events do.
 * @param version chooses the sample: another one each time.
 * @param events how many there are, about.
 */
export function createTally(
  projection: Projection,
  { version, events, skipped }: { version: number; events: number; skipped: ReadonlySet<string> },
): Tally {
  const all = new Map(projection.tables.map((table) => [table.name, createSums(table, 1)]));
  const of = Math.max(LEAST_PARTS, Math.ceil(events / EVENTS_A_SAMPLE));
  const part = foldOfPart(projection, { index: version % of, of }, skipped);
  const sums = ({ name }: Table): Sums => {
    const found = all.get(name);
    if (found === undefined) throw new Error(`${name} is no table of ${projection.name}`);
    return found;
  };
  return {
    skipped,
    sums,
    seen(seen) {
      for (const event of seen) part.add(event);
    },
    changed(table, key, before, after) {
      if (before !== null) sums(table).remove(key, before);
      if (after !== null) sums(table).add(key, after);
    },
    sample: ({ name }) => part.tables.get(name) ?? new Map<string, Row>(),
  };
}
