import type { Knex } from 'knex';
import type { ColumnType, Projection, Row, Table } from './projection.ts';

/** Longest that one index may take to make. */
const INDEX_MS = 600_000;

const sqlTypes: Record<ColumnType, string> = {
  text: 'text',
  integer: 'integer',
  count: 'bigint',
  position: 'bigint',
  boolean: 'boolean',
  time: 'timestamptz',
  json: 'jsonb',
};

/** `turnId` → `turn_id`. */
export function columnName(column: string): string {
  return column.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Name of the table that holds one version of a read model. */
export function tableName(table: Pick<Table, 'name'>, version: number): string {
  return `${table.name}_v${version}`;
}

/**
 * Name of the view that queries read. It stands for the live version's table, so a swap is one transaction in the
 * database and no process keeps a stale name. It carries the schema version: during a rolling upgrade each program
 * reads the columns it was written for.
 */
export function liveView(projection: Pick<Projection, 'schemaVersion'>, table: Pick<Table, 'name'>): string {
  return `${table.name}_s${projection.schemaVersion}`;
}

/** Columns with their names in memory, for a SELECT. */
export function selectList<R extends Row>(table: Table<R>, alias?: string): string {
  const prefix = alias === undefined ? '' : `${alias}.`;
  return Object.keys(table.columns)
    .map((column) => `${prefix}${columnName(column)} as "${column}"`)
    .join(', ');
}

/** The columns as a row type for json_to_recordset. */
export function recordsetColumns(table: Table): string {
  return Object.entries(table.columns)
    .map(([column, type]) => `"${column}" ${sqlTypes[type]}`)
    .join(', ');
}

/** A row as the driver gave it, in its form in memory. Whatever parsers the driver was set up with, it comes out the same. */
export function decodeRow<R extends Row>(table: Table<R>, raw: Record<string, unknown>): R {
  const row: Row = {};
  for (const [column, type] of Object.entries(table.columns)) row[column] = decodeCell(type, raw[column]);
  return row as R;
}

function decodeCell(type: ColumnType, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  switch (type) {
    case 'count':
    case 'integer':
      return Number(value);
    case 'position':
      return typeof value === 'string' ? value : BigInt(value as number | bigint).toString();
    case 'time':
      return (value instanceof Date ? value : new Date(value as string)).toISOString();
    default:
      return value;
  }
}

/** Makes the tables of one version, without further indexes. */
export async function createTables(trx: Knex, projection: Projection, version: number): Promise<void> {
  for (const table of projection.tables) {
    const target = tableName(table, version);
    const columns = Object.entries(table.columns).map(
      // Ids are compared byte by byte: a language's collation makes the same index several times slower.
      ([column, type]) =>
        `${columnName(column)} ${sqlTypes[type]}${type === 'text' ? ' collate "C"' : ''}${column === table.key ? ' primary key' : ''}`,
    );
    for (const { name, sql } of table.generated ?? []) columns.push(`${name} ${sql}`);
    // Room on each page lets an update stay on it and leave the indexes alone: rows here are updated far more than made.
    await trx.raw(`create table ${target} (${columns.join(', ')}) with (fillfactor = 80)`);
  }
}

/** Makes the indexes of one version besides those of the keys; they may be there. */
export async function createIndexes(trx: Knex, projection: Projection, version: number): Promise<void> {
  for (const table of projection.tables) {
    const target = tableName(table, version);
    for (const index of table.indexes ?? []) {
      const where = index.where === undefined ? '' : ` where ${index.where}`;
      const on = index.using ? `using ${index.using}` : `(${index.on.map(columnName).join(', ')})`;
      const unique = index.unique ? 'unique ' : '';
      await trx
        .raw(`create ${unique}index if not exists ${target}_${index.name} on ${target} ${on}${where}`)
        .options({ query_timeout: INDEX_MS });
    }
  }
}

/** Drops the tables of one version, and the views that stand for them. */
export async function dropTables(trx: Knex, projection: Projection, version: number): Promise<void> {
  for (const table of projection.tables) await trx.raw(`drop table if exists ${tableName(table, version)} cascade`);
}

/** Points the views that queries read at one version. Part of the transaction that makes the version live. */
export async function pointViews(trx: Knex, projection: Projection, version: number): Promise<void> {
  for (const table of projection.tables)
    await trx.raw(
      `create or replace view ${liveView(projection, table)} as select * from ${tableName(table, version)}`,
    );
}

/** Whether every table of the version is there. */
export async function tablesExist(trx: Knex, projection: Projection, version: number): Promise<boolean> {
  for (const table of projection.tables) {
    const found = await trx.raw<{ rows: { found: string | null }[] }>('select to_regclass(?)::text as found', [
      tableName(table, version),
    ]);
    if (found.rows[0]?.found == null) return false;
  }
  return true;
}
