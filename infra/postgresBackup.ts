/** Tables of a backup, row by row as JSON, and what a restore needs to know of a database. */
import type { Knex } from 'knex';
import { KEPT_TABLES, READ_MODEL_TABLE } from '../domain/backup/tables.ts';

const QUERY_MS = 60_000;
/** What may be lost at any time, and would be wrong beside another log. */
const PASSING_TABLES = [
  'dead_letters',
  'vector_indexes',
  'leases',
  'snapshots',
  'slots',
  'stream_tickets',
  'request_counts',
];

/** Every row of a table as a JSON object. @param table one of KEPT_TABLES. */
export async function rowsAsJson(knex: Knex, table: string): Promise<string[]> {
  const { rows } = await knex
    .raw<{ rows: { row: string }[] }>('select row_to_json(t)::text as row from ?? t', [known(table)])
    .timeout(QUERY_MS);
  return rows.map(({ row }) => row);
}

/** Writes rows that a backup holds; columns that this program's table does not have are left out, rows that are there stay. */
export async function insertRows(knex: Knex, table: string, rows: readonly string[]): Promise<void> {
  const [first] = rows;
  if (first === undefined) return;
  const given = new Set(Object.keys(JSON.parse(first) as object));
  const columns = (await columnsOf(knex, known(table))).filter((column) => given.has(column));
  const list = columns.map(() => '??').join(', ');
  await knex
    .raw(
      `insert into ?? (${list}) select ${list} from json_populate_recordset(null::??, ?::json) on conflict do nothing`,
      [table, ...columns, ...columns, table, `[${rows.join(',')}]`],
    )
    .timeout(QUERY_MS);
}

async function columnsOf(knex: Knex, table: string): Promise<string[]> {
  const { rows } = await knex.raw<{ rows: { name: string }[] }>(
    `select attname as name from pg_attribute where attrelid = to_regclass(?) and attnum > 0 and not attisdropped`,
    [table],
  );
  return rows.map(({ name }) => name);
}

function known(table: string): string {
  if (!(table in KEPT_TABLES)) throw new Error(`${table} is no table of backups`);
  return table;
}

/** Names of all tables. */
export async function allTables(knex: Knex): Promise<string[]> {
  const { rows } = await knex.raw<{ rows: { name: string }[] }>(
    `select tablename as name from pg_tables where schemaname = current_schema() order by 1`,
  );
  return rows.map(({ name }) => name);
}

/** The newest migration. */
export async function schemaOf(knex: Knex): Promise<string> {
  const [row] = await knex('knex_migrations').max<{ name: string }[]>('name as name');
  return row?.name ?? '';
}

/** Takes away what was made of another log: read models with their checkpoints, and what may be lost at any time. */
export async function dropDerived(knex: Knex): Promise<void> {
  const tables = (await allTables(knex)).filter((table) => READ_MODEL_TABLE.test(table));
  await knex.transaction(async (trx) => {
    for (const table of tables) await trx.raw('drop table if exists ?? cascade', [table]);
    await trx('projections').delete();
    await trx.raw(`truncate ${PASSING_TABLES.join(', ')}`);
  });
}

/** Sessions of this program on the database beside those of `applicationName`; always 0 for the embedded one. */
export async function othersConnected(knex: Knex, applicationName: string): Promise<number> {
  const { rows } = await knex.raw<{ rows: { count: number }[] }>(
    `select count(*)::int as count from pg_stat_activity
     where datname = current_database() and application_name like 'colloquy%' and application_name <> ?`,
    [applicationName],
  );
  return rows[0]?.count ?? 0;
}
