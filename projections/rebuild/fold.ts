/** The fold that a version is verified against: from the log alone, a part at a time, so that it fits into memory. */
import type { RecordedEvent } from '../../domain/envelope.ts';
import { createRowFold, type RowFold } from '../fold.ts';
import type { Projection, Row, Table } from '../projection.ts';
import { hashOf, typesOf, type EventSource, type Part } from './source.ts';

/** Events folded in one part, about: their rows are all in memory at once. */
const EVENTS_A_PART = 300_000;
const ROWS_BETWEEN_LOOKS = 500;

export interface FoldAllOptions {
  readonly projection: Projection;
  readonly source: EventSource;
  /** Folded up to here, inclusive. */
  readonly to: bigint;
  /** Events there are, about. */
  readonly events: number;
  readonly skipped: ReadonlySet<string>;
  /** Event ids by the streams that wait behind them. */
  readonly letters: ReadonlyMap<string, string>;
  /** Looks in between, e.g. to stop; told how many events were folded since it was called last. */
  readonly onPage: (events: number) => Promise<void>;
}

/** Folds the log up to a position part by part, and hands every row over once. */
export async function foldAll(options: FoldAllOptions, onRow: (table: Table, row: Row) => void): Promise<void> {
  const { projection } = options;
  const of = isSplittable(projection) ? Math.max(1, Math.ceil(options.events / EVENTS_A_PART)) : 1;
  for (let index = 0; index < of; index += 1) {
    const fold = await foldPart(options, { index, of });
    let rows = 0;
    for (const table of projection.tables)
      for (const row of fold.tables.get(table.name)?.values() ?? []) {
        onRow(table, row);
        rows += 1;
        if (rows % ROWS_BETWEEN_LOOKS === 0) await options.onPage(0);
      }
  }
}

/** Whether a part of its rows can be folded without the others. */
export function isSplittable({ streamLocal, tables }: Projection): boolean {
  return streamLocal === true || tables.every((table) => !table.readsOf);
}

/** A fold of one part of the log, for projections that are splittable: of some streams, or of the rows with some keys where rows belong to several streams. */
export function foldOfPart(projection: Projection, part: Part, skipped: ReadonlySet<string>): RowFold {
  if (projection.streamLocal !== true) return createRowFold(keysIn(projection, part), skipped);
  const fold = createRowFold(projection, skipped);
  const isOfPart = ({ stream }: RecordedEvent): boolean => part.of === 1 || hashOf(stream) % part.of === part.index;
  return { tables: fold.tables, add: (event) => (isOfPart(event) ? fold.add(event) : undefined) };
}

async function foldPart(options: FoldAllOptions, part: Part): Promise<RowFold> {
  const { projection, source, to, skipped, letters, onPage } = options;
  const byStream = projection.streamLocal === true && part.of > 1;
  const fold = createRowFold(byStream ? projection : keysIn(projection, part), skipped);
  const parked = new Set<string>();
  const range = { after: 0n, to, types: typesOf(projection), ...(byStream ? { part } : {}) };
  for await (const { events } of source.read(range)) {
    for (const event of events) {
      // What PostgreSQL refused does not throw here.
      if (letters.size > 0 && letters.get(event.stream) === event.id) parked.add(event.stream);
      if (!parked.has(event.stream)) fold.add(event);
    }
    await onPage(events.length);
  }
  return fold;
}

/** The projection with only the rows of one part, by the hash of their keys. */
function keysIn(projection: Projection, { index, of }: Part): Projection {
  if (of === 1) return projection;
  const tables = projection.tables.map((table) => ({
    ...table,
    keysOf: (event: Parameters<Table['keysOf']>[0]) => table.keysOf(event).filter((key) => hashOf(key) % of === index),
  }));
  return { ...projection, tables };
}
