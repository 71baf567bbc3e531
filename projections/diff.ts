/** Compares the live tables of a read model, row by row, with a fresh fold of the log; events may flow meanwhile. */
import type { Knex } from 'knex';
import { canonicalJson } from '../domain/codec.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Projection, Row, Table } from './projection.ts';
import { createSums, rowPages, type Sums } from './rebuild/checksum.ts';
import { foldAll, type FoldAllOptions } from './rebuild/fold.ts';
import { hashOf } from './rebuild/source.ts';
import { loadRows } from './rebuild/write.ts';
import { skippedOf } from './skippedEvents.ts';

/** Rows are first compared as sums over so many buckets: only rows of buckets that differ are looked at one by one. */
const BUCKETS = 65_536;
/** Rows that are looked at one by one at most. */
const MAX_LOOKED_AT = 50_000;
const MAX_SAMPLES = 20;
const QUERY_MS = 20_000;

export interface DifferingRow {
  readonly key: string;
  /** `missing`: the log makes it, the table does not hold it; `extra`: the reverse. */
  readonly kind: 'missing' | 'extra' | 'differs';
  readonly columns: readonly string[];
}

export interface TableDiff {
  readonly table: string;
  readonly rows: number;
  readonly differing: number;
  readonly samples: readonly DifferingRow[];
}

export interface Diff {
  readonly name: string;
  readonly version: number;
  /** Compared as of this position. */
  readonly position: string;
  readonly equal: boolean;
  /** False when more rows differ than were looked at: `differing` then counts only these. */
  readonly complete: boolean;
  readonly tables: readonly TableDiff[];
  /** Of those that differ, how many are as they should be now; only where mending was asked for. */
  readonly repaired?: number;
}

export interface DiffOptions extends Pick<FoldAllOptions, 'projection' | 'source' | 'onPage'> {
  readonly knex: Knex;
}

interface Live {
  readonly version: number;
  readonly position: bigint;
  readonly letters: ReadonlyMap<string, string>;
  readonly skipped: ReadonlySet<string>;
}

/** Keys to look at, by table. */
type Keys = Map<Table, Set<string>>;

/**
 * Rows that flowed in while the tables were read differ at first: they are read again in one short transaction with the
 * checkpoint, and the log is folded up to just there.
 * @throws Refusal `conflict` when versions were swapped meanwhile, `not-found` without a live version.
 */
export async function diffProjection(options: DiffOptions): Promise<Diff> {
  const { knex, projection, onPage } = options;
  const first = await readLive(knex, projection);
  const expected = await expectedSums(options, first);
  const buckets = new Map<Table, Set<number>>();
  const counts = new Map<Table, number>();
  for (const table of projection.tables) {
    const actual = createSums(table, BUCKETS);
    for await (const rows of rowPages(knex, table, first.version)) {
      for (const row of rows) actual.add(String(row[table.key]), row);
      await onPage(0);
    }
    counts.set(table, actual.count);
    buckets.set(table, new Set(expected.get(table)?.differing(actual)));
  }
  const suspects = await keysIn(knex, first.version, buckets);
  const again = await compareKeys(options, first.version, suspects, buckets);
  const complete = !again.cut;
  const last = again.differing.size === 0 ? again : await compareKeys(options, first.version, keysOf(again), null);
  const tables = projection.tables.map((table): TableDiff => {
    const rows = last.differing.get(table) ?? [];
    return {
      table: table.name,
      rows: counts.get(table) ?? 0,
      differing: rows.length,
      samples: rows.slice(0, MAX_SAMPLES),
    };
  });
  const equal = tables.every(({ differing }) => differing === 0);
  const { name } = projection;
  return { name, version: first.version, position: last.position.toString(), equal, complete, tables };
}

async function readLive(knex: Knex, { name, schemaVersion }: Projection, version?: number): Promise<Live> {
  const { rows } = await knex
    .raw<{ rows: { version: number; position: string; stream: string | null; event_id: string | null }[] }>(
      `select p.version, p.position::text as position, d.stream, d.event_id from projections p
       left join dead_letters d on d.projection = p.name and d.version = p.version and d.parks
       where p.name = ? and p.schema_version = ? and p.status = 'live'`,
      [name, schemaVersion],
    )
    .timeout(QUERY_MS);
  const [row] = rows;
  if (row === undefined) throw new Refusal('not-found', `the read model ${name} has no live version`);
  if (version !== undefined && version !== row.version)
    throw new Refusal('conflict', 'another version became the live one meanwhile: compare again', { retryable: true });
  const letters = new Map<string, string>();
  for (const { stream, event_id: id } of rows) if (stream !== null && id !== null) letters.set(stream, id);
  return { version: row.version, position: BigInt(row.position), letters, skipped: await skippedOf(knex, name) };
}

function fold(options: DiffOptions, live: Live, onRow: (table: Table, row: Row) => void): Promise<void> {
  const { projection, source, onPage } = options;
  const { position: to, letters, skipped } = live;
  return foldAll({ projection, source, onPage, to, letters, skipped, events: Number(to) }, onRow);
}

async function expectedSums(options: DiffOptions, live: Live): Promise<Map<Table, Sums>> {
  const sums = new Map(options.projection.tables.map((table): [Table, Sums] => [table, createSums(table, BUCKETS)]));
  await fold(options, live, (table, row) => sums.get(table)?.add(String(row[table.key]), row));
  return sums;
}

/** Keys of the rows that stand in the buckets. */
async function keysIn(knex: Knex, version: number, buckets: ReadonlyMap<Table, ReadonlySet<number>>): Promise<Keys> {
  const keys: Keys = new Map();
  for (const [table, wanted] of buckets) {
    const found = new Set<string>();
    keys.set(table, found);
    if (wanted.size === 0) continue;
    for await (const rows of rowPages(knex, table, version))
      for (const row of rows) {
        const key = String(row[table.key]);
        if (wanted.has(hashOf(key) % BUCKETS) && found.size < MAX_LOOKED_AT) found.add(key);
      }
  }
  return keys;
}

interface Compared {
  readonly position: bigint;
  readonly differing: Map<Table, DifferingRow[]>;
  /** There were more keys than are looked at. */
  readonly cut: boolean;
}

/** @param buckets keys that the log makes in these are compared, too. */
async function compareKeys(
  options: DiffOptions,
  version: number,
  keys: Keys,
  buckets: ReadonlyMap<Table, ReadonlySet<number>> | null,
): Promise<Compared> {
  const { knex, projection } = options;
  const { live, actual } = await knex.transaction(async (trx) => {
    await trx.raw('set transaction isolation level repeatable read');
    const rows = new Map<Table, Map<string, Row>>();
    for (const [table, wanted] of keys) {
      const found = await loadRows(trx, table, version, [...wanted]);
      rows.set(table, new Map(found.map((row) => [String(row[table.key]), row])));
    }
    return { live: await readLive(trx, projection, version), actual: rows };
  });
  const any = [...keys.values(), ...(buckets?.values() ?? [])].some(({ size }) => size > 0);
  if (!any) return { position: live.position, differing: new Map(), cut: false };
  const differing = new Map<Table, DifferingRow[]>();
  const note = (table: Table, row: DifferingRow): void => {
    const rows = differing.get(table) ?? [];
    differing.set(table, rows);
    rows.push(row);
  };
  const seen: Keys = new Map(projection.tables.map((table) => [table, new Set()]));
  await fold(options, live, (table, row) => {
    const key = String(row[table.key]);
    const wanted = keys.get(table)?.has(key) || buckets?.get(table)?.has(hashOf(key) % BUCKETS);
    if (!wanted) return;
    seen.get(table)?.add(key);
    const there = actual.get(table)?.get(key);
    if (there === undefined) return note(table, { key, kind: 'missing', columns: [] });
    const columns = Object.keys(table.columns).filter(
      (column) => canonicalJson(there[column] ?? null) !== canonicalJson(row[column] ?? null),
    );
    if (columns.length > 0) note(table, { key, kind: 'differs', columns });
  });
  for (const [table, rows] of actual)
    for (const key of rows.keys()) if (!seen.get(table)?.has(key)) note(table, { key, kind: 'extra', columns: [] });
  const cut = [...keys.values()].some(({ size }) => size >= MAX_LOOKED_AT);
  return { position: live.position, differing, cut };
}

function keysOf({ differing }: Compared): Keys {
  return new Map(
    [...differing].map(([table, rows]) => [table, new Set(rows.slice(0, MAX_LOOKED_AT).map(({ key }) => key))]),
  );
}
