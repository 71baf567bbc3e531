/** The fold of a rebuild: large batches in memory, so that most rows are read never and written once. */
import type { RecordedEvent } from '../../domain/envelope.ts';
import { applyEvent, knownEvent, lookupIn, rowsNeeded, type Rows } from '../fold.ts';
import type { LogEvent, Projection, Row, Table } from '../projection.ts';
import type { Tally } from './tally.ts';
import { createRowCache, type RowCache } from '../rowCache.ts';

/** Rows kept in memory per table: those of the discussions under way at the same time, a few times over. */
const KEPT_ROWS = 30_000;

/** An event that cannot be applied. */
export class Poison extends Error {
  readonly event: RecordedEvent;

  constructor(event: RecordedEvent, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = 'Poison';
    this.event = event;
  }
}

export interface TableChanges {
  readonly table: Table;
  /** Rows that were not there before. */
  readonly inserts: readonly Row[];
  /** Rows that replace what is there. */
  readonly updates: readonly Row[];
  readonly deletes: readonly string[];
}

export interface Changes {
  readonly tables: readonly TableChanges[];
  /** Dead letters of the batch, by their cause. */
  readonly poison: readonly Poison[];
  /** Events whose rows are written, but that a store beside the tables cannot hold: nothing waits behind them. */
  readonly unplaced?: readonly Poison[];
  /** Events of parked streams, by stream. */
  readonly waiting: ReadonlyMap<string, number>;
}

/** What a rebuild does with single events. */
export interface Exceptions {
  /** Streams that wait behind a dead letter; grows. */
  readonly parked: Set<string>;
  /** Ids of events that are passed over. */
  readonly skipped: ReadonlySet<string>;
  /** Ids of events that may fail, since the live version's dead letters are about them: their stream is parked. */
  readonly tolerated: Set<string>;
  /** Errors of the database by the id of the event that caused them: as if its application had thrown. */
  readonly refused: Map<string, string>;
}

export interface RebuildRows {
  /**
   * What events make of the rows. `fold` may be called once while the changes of the call before are being written.
   * @throws Poison for an event that cannot be applied and is not tolerated.
   */
  fold(events: readonly RecordedEvent[]): Promise<Changes>;
  /** The changes folded first are in the database. */
  written(): void;
}

export interface RebuildRowsOptions {
  readonly projection: Projection;
  readonly exceptions: Exceptions;
  /** The tables are empty: what was never seen is not there. */
  readonly empty: boolean;
  /** Reads rows by key. */
  readonly load: (table: Table, keys: string[]) => Promise<Row[]>;
  /** Told of every change; null for nobody. */
  readonly tally: Tally | null;
}

type Batch = Map<string, Map<string, Row | null>>;

interface State extends RebuildRowsOptions {
  readonly cache: RowCache;
  /** Rows that were put into the cache, by table; beyond its size some have left it. */
  readonly kept: Map<string, number>;
  /** Folded and not known to be written, the oldest first. */
  readonly open: Batch[];
}

/** A fold that begins with the tables as they are. */
export function createRebuildRows(options: RebuildRowsOptions): RebuildRows {
  const state: State = { ...options, cache: createRowCache(KEPT_ROWS), kept: new Map(), open: [] };
  return {
    async fold(events) {
      const known = events.map(knownEvent).filter((event) => event !== null);
      const batch: Batch = new Map(options.projection.tables.map(({ name }) => [name, new Map<string, Row | null>()]));
      await load(state, known, batch);
      const before: Batch = new Map([...batch].map(([table, rows]) => [table, new Map(rows)]));
      const changes = apply(state, known, batch, before);
      state.tally?.seen(events);
      state.open.push(batch);
      return changes;
    },
    written() {
      const batch = state.open.shift();
      for (const table of options.projection.tables) {
        const rows = batch?.get(table.name);
        if (table.once || rows === undefined) continue;
        for (const [key, row] of rows) state.cache.set(table.name, key, row);
        state.kept.set(table.name, (state.kept.get(table.name) ?? 0) + rows.size);
      }
    },
  };
}

async function load(state: State, events: readonly LogEvent[], batch: Batch): Promise<void> {
  const missing = new Map<Table, Set<string>>();
  for (const event of events) {
    if (isLeftOut(state.exceptions, event)) continue;
    try {
      for (const { table, key, made } of rowsNeeded(state.projection, event)) {
        const rows = batch.get(table.name);
        if (rows === undefined || rows.has(key)) continue;
        const row = made ? null : atHand(state, table, key);
        if (row !== undefined) rows.set(key, row);
        else missing.set(table, (missing.get(table) ?? new Set()).add(key));
      }
    } catch {
      // Applying it will say so where it counts.
    }
  }
  for (const [table, keys] of missing) {
    const rows = batch.get(table.name);
    for (const key of keys) if (!rows?.has(key)) rows?.set(key, null);
    for (const row of await state.load(table, [...keys])) rows?.set(String(row[table.key]), row);
  }
}

function atHand(state: State, table: Table, key: string): Row | null | undefined {
  for (let i = state.open.length - 1; i >= 0; i -= 1) {
    const row = state.open[i]?.get(table.name)?.get(key);
    if (row !== undefined) return row;
  }
  const row = state.cache.get(table.name, key);
  if (row !== undefined) return row;
  const complete = state.empty && !table.once && (state.kept.get(table.name) ?? 0) <= KEPT_ROWS;
  return complete ? null : undefined;
}

function isLeftOut({ parked, skipped, refused }: Exceptions, event: LogEvent): boolean {
  return parked.has(event.stream) || skipped.has(event.id) || refused.has(event.id);
}

function apply(
  { projection, exceptions, tally }: State,
  events: readonly LogEvent[],
  batch: Batch,
  before: Batch,
): Changes {
  const changed = new Map<string, Set<string>>(projection.tables.map(({ name }) => [name, new Set()]));
  const rows: Rows = {
    get: (table, key) => batch.get(table.name)?.get(key),
    set(table, key, row) {
      batch.get(table.name)?.set(key, row);
      changed.get(table.name)?.add(key);
    },
  };
  const lookup = lookupIn(rows);
  const poison: Poison[] = [];
  const parked = new Set(exceptions.parked);
  const waiting = new Map<string, number>();
  for (const event of events) {
    if (exceptions.skipped.has(event.id)) continue;
    if (parked.has(event.stream)) {
      waiting.set(event.stream, (waiting.get(event.stream) ?? 0) + 1);
      continue;
    }
    try {
      const refused = exceptions.refused.get(event.id);
      if (refused !== undefined) throw new Error(refused);
      applyEvent(projection, event, rows, lookup);
    } catch (error) {
      if (!exceptions.tolerated.has(event.id)) throw new Poison(event, error);
      parked.add(event.stream);
      poison.push(new Poison(event, error));
    }
  }
  for (const { event } of poison) exceptions.parked.add(event.stream);
  const tables = projection.tables.map((table) => changesOf(table, changed, { before, batch, tally }));
  return { tables, poison, waiting };
}

function changesOf(
  table: Table,
  changed: ReadonlyMap<string, ReadonlySet<string>>,
  { before, batch, tally }: { before: Batch; batch: Batch; tally: Tally | null },
): TableChanges {
  const inserts: Row[] = [];
  const updates: Row[] = [];
  const deletes: string[] = [];
  for (const key of changed.get(table.name) ?? []) {
    const row = batch.get(table.name)?.get(key) ?? null;
    const old = before.get(table.name)?.get(key) ?? null;
    tally?.changed(table, key, old, row);
    if (row === null) {
      if (old !== null) deletes.push(key);
    } else if (old !== null) updates.push(row);
    else inserts.push(row);
  }
  return { table, inserts, updates, deletes };
}
