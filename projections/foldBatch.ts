import type { Knex } from 'knex';
import type { RecordedEvent } from '../domain/envelope.ts';
import type { Member } from './checkpoints.ts';
import { applyEvent, knownEvent, lookupIn, rowsNeeded, type Rows } from './fold.ts';
import type { LogEvent, Row, Table } from './projection.ts';
import type { RowCache } from './rowCache.ts';
import { columnName, decodeRow, selectList, tableName } from './tables.ts';

/** Keys per query: beyond it the array itself becomes the cost. */
const MAX_KEYS = 5_000;
const QUERY_MS = 20_000;

export interface DeadLetter {
  readonly event: RecordedEvent;
  readonly error: string;
  /** Its rows are written, only a store beside the tables cannot hold it: nothing waits behind it. */
  readonly unplaced?: boolean;
}

/** What a batch of events makes of one read model, not written yet. */
export interface FoldedBatch {
  readonly member: Member;
  /** The last event: the next checkpoint. */
  readonly last: RecordedEvent;
  /** Every row that was read or changed, by table. */
  readonly rows: ReadonlyMap<string, ReadonlyMap<string, Row | null>>;
  readonly changes: readonly {
    readonly table: Table;
    readonly upserts: readonly Row[];
    readonly deletes: readonly string[];
  }[];
  readonly deadLetters: readonly DeadLetter[];
  /** How many events of already parked streams were passed over, by stream. */
  readonly waiting: ReadonlyMap<string, number>;
}

export interface FoldOptions {
  readonly knex: Knex;
  readonly cache: RowCache;
  /** A batch of the same member whose write is under way: its rows are newer than the database's. */
  readonly before?: FoldedBatch | undefined;
  /** An error of the database that the event with this id caused: it counts as thrown by `evolve`. */
  readonly poison?: { readonly eventId: string; readonly error: string };
}

/** Folds events beyond the member's place; null when there are none. Reads rows that are not at hand, a query per table. */
export async function foldBatch(
  member: Member,
  events: readonly RecordedEvent[],
  options: FoldOptions,
): Promise<FoldedBatch | null> {
  const beyond = events.filter((event) => event.position > member.folded);
  const last = beyond.at(-1);
  if (last === undefined) return null;
  const rows = new Map<string, Map<string, Row | null>>(member.projection.tables.map(({ name }) => [name, new Map()]));
  const known = beyond.map(knownEvent).filter((event) => event !== null);
  await loadRows(member, known, rows, options);
  return { member, last, rows, ...applied(member, known, rows, options) };
}

type Working = Map<string, Map<string, Row | null>>;

async function loadRows(
  member: Member,
  events: readonly LogEvent[],
  rows: Working,
  options: FoldOptions,
): Promise<void> {
  const missing = new Map<Table, Set<string>>();
  for (const event of events) {
    if (member.parked.has(event.stream) || options.poison?.eventId === event.id) continue;
    try {
      for (const { table, key, made } of rowsNeeded(member.projection, event)) {
        const at = rows.get(table.name);
        if (at === undefined || at.has(key)) continue;
        const row = made ? null : atHand(table.name, key, options);
        if (row !== undefined) at.set(key, row);
        else missing.set(table, (missing.get(table) ?? new Set()).add(key));
      }
    } catch {
      // The event is poison: applying it will say so where it counts.
    }
  }
  for (const [table, keys] of missing) {
    const wanted = [...keys];
    for (let i = 0; i < wanted.length; i += MAX_KEYS)
      await loadKeys(options.knex, table, member.checkpoint.version, wanted.slice(i, i + MAX_KEYS), rows);
  }
}

function atHand(table: string, key: string, { before, cache }: FoldOptions): Row | null | undefined {
  const row = before?.rows.get(table)?.get(key);
  return row === undefined ? cache.get(table, key) : row;
}

async function loadKeys(knex: Knex, table: Table, version: number, keys: string[], rows: Working): Promise<void> {
  const at = rows.get(table.name);
  for (const key of keys) at?.set(key, null);
  const result = await knex
    .raw<{ rows: Row[] }>(
      `select ${selectList(table)} from ${tableName(table, version)} where ${columnName(table.key)} = any(?::text[])`,
      [keys],
    )
    .timeout(QUERY_MS);
  for (const raw of result.rows) {
    const row = decodeRow(table, raw);
    at?.set(String(row[table.key]), row);
  }
}

function applied(member: Member, events: readonly LogEvent[], working: Working, { poison }: FoldOptions) {
  const changed = new Map<string, Set<string>>(member.projection.tables.map(({ name }) => [name, new Set()]));
  const rows: Rows = {
    get: (table, key) => working.get(table.name)?.get(key),
    set(table, key, row) {
      working.get(table.name)?.set(key, row);
      changed.get(table.name)?.add(key);
    },
  };
  const lookup = lookupIn(rows);
  const deadLetters: DeadLetter[] = [];
  const newlyParked = new Set<string>();
  const waiting = new Map<string, number>();
  for (const event of events) {
    if (member.skipped.has(event.id)) continue;
    if (member.parked.has(event.stream) || newlyParked.has(event.stream)) {
      waiting.set(event.stream, (waiting.get(event.stream) ?? 0) + 1);
      continue;
    }
    try {
      if (poison?.eventId === event.id) throw new Error(poison.error);
      applyEvent(member.projection, event, rows, lookup);
    } catch (error) {
      newlyParked.add(event.stream);
      deadLetters.push({ event, error: error instanceof Error ? error.message : String(error) });
    }
  }
  const changes = member.projection.tables.map((table) => changesOf(table, changed, working));
  return { changes: changes.filter((each) => each.upserts.length + each.deletes.length > 0), deadLetters, waiting };
}

function changesOf(table: Table, changed: ReadonlyMap<string, ReadonlySet<string>>, working: Working) {
  const upserts: Row[] = [];
  const deletes: string[] = [];
  for (const key of changed.get(table.name) ?? []) {
    const row = working.get(table.name)?.get(key);
    if (row) upserts.push(row);
    else deletes.push(key);
  }
  return { table, upserts, deletes };
}
