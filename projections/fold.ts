import type { RecordedEvent } from '../domain/envelope.ts';
import { eventDefinition } from '../domain/events.ts';
import type { LogEvent, Lookup, Projection, Row, Table } from './projection.ts';

type Named = Pick<Table, 'name'>;

/** Rows of one projection by table and key. An absent key has not been loaded; null says that there is no such row. */
export interface Rows {
  get(table: Named, key: string): Row | null | undefined;
  set(table: Named, key: string, row: Row | null): void;
}

/** The event with typed data; null when this program does not know its type. */
export function knownEvent(event: RecordedEvent): LogEvent | null {
  return eventDefinition(event.type) === undefined ? null : (event as LogEvent);
}

export interface Need {
  readonly table: Table;
  readonly key: string;
  /** The event makes this row: there is nothing to load. */
  readonly made?: boolean;
}

/** Rows that must be at hand before the event can be applied. */
export function* rowsNeeded(projection: Projection, event: LogEvent): Generator<Need> {
  for (const table of projection.tables) {
    const made = table.creates?.includes(event.type) ?? false;
    for (const key of table.keysOf(event)) yield { table, key, made };
    if (table.readsOf) yield* table.readsOf(event);
  }
}

/** The rows as `evolve` may look at them; made once for many events. */
export function lookupIn(rows: Rows): Lookup {
  return <R extends Row>(table: Table<R>, key: string) => loaded(rows, table, key) as R | null;
}

/**
 * Applies one event to the rows of a projection: all of its changes, or none when it throws.
 * @throws whatever `evolve` throws, and for an event of a newer schema than this program knows.
 */
export function applyEvent(projection: Projection, event: LogEvent, rows: Rows, lookup: Lookup): void {
  const known = eventDefinition(event.type)?.version ?? 0;
  if (event.schemaVersion > known)
    throw new Error(`${event.type} has schema version ${event.schemaVersion}, this program knows up to ${known}`);
  const changes: { table: Table; key: string; row: Row | null }[] = [];
  for (const table of projection.tables)
    for (const key of table.keysOf(event)) {
      const before = table.creates?.includes(event.type) ? null : loaded(rows, table, key);
      const after = table.evolve(before, event, key, lookup);
      if (after !== before) changes.push({ table, key, row: after });
    }
  for (const { table, key, row } of changes) rows.set(table, key, row);
}

function loaded(rows: Rows, table: Named, key: string): Row | null {
  const row = rows.get(table, key);
  // A row that evolve was not given for lack of loading would be written over as if it were new.
  if (row === undefined) throw new Error(`row ${key} of ${table.name} was read without being named by readsOf`);
  return row;
}

/** A fold that takes events one by one. */
export interface RowFold {
  /** By table name, by key, after the events so far. */
  readonly tables: Map<string, Map<string, Row>>;
  /** An event whose application throws parks its stream, as the runner does. */
  add(event: RecordedEvent): void;
}

/**
 * An empty fold of a projection: the reference that tables are compared with, and what they held in the past.
 * @param skipped ids of events that are passed over.
 */
export function createRowFold(projection: Projection, skipped: ReadonlySet<string> = new Set()): RowFold {
  const tables = new Map<string, Map<string, Row>>(projection.tables.map((table) => [table.name, new Map()]));
  const rows: Rows = {
    get: (table, key) => tables.get(table.name)?.get(key) ?? null,
    set(table, key, row) {
      if (row === null) tables.get(table.name)?.delete(key);
      else tables.get(table.name)?.set(key, row);
    },
  };
  const lookup = lookupIn(rows);
  const parked = new Set<string>();
  return {
    tables,
    add(recorded) {
      const event = knownEvent(recorded);
      if (event === null || parked.has(event.stream) || skipped.has(event.id)) return;
      try {
        applyEvent(projection, event, rows, lookup);
      } catch {
        parked.add(event.stream);
      }
    },
  };
}

/**
 * What the tables of a projection must hold after these events, by table name, by key.
 * @param skipped ids of events that are passed over.
 */
export function foldRows(
  projection: Projection,
  events: Iterable<RecordedEvent>,
  skipped: ReadonlySet<string> = new Set(),
): Map<string, Map<string, Row>> {
  const fold = createRowFold(projection, skipped);
  for (const event of events) fold.add(event);
  return fold.tables;
}
