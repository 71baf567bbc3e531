/** Writes what a rebuild has folded into the tables of one version, as many rows at once as possible. */
import type { Knex } from 'knex';
import type { ColumnType, Row, Table } from '../projection.ts';
import type { Changes, Poison, TableChanges } from './rows.ts';
import type { Page } from './source.ts';
import { lostClaim, ofClaim, type Claim } from './version.ts';
import { columnName, decodeRow, recordsetColumns, selectList, tableName } from '../tables.ts';

/** Loads lines of COPY's text format into a table inside a transaction. */
export type CopyRows = (trx: Knex, into: string, lines: Iterable<string>) => Promise<void>;

/** Rows of one statement where there is no COPY. */
const ROWS_AT_ONCE = 1_000;
/** Rows from which on COPY and a draft table are cheaper. */
const WORTH_A_COPY = 500;
const KEYS_AT_ONCE = 5_000;
const WRITE_MS = 120_000;
const QUERY_MS = 30_000;
/** Longest text of an error that is kept. */
const MAX_ERROR = 2_000;

export interface WriteOptions {
  readonly version: number;
  /** Null where the database has no COPY from a client: the embedded one. */
  readonly copy: CopyRows | null;
  /** Rows may be there though they should not: slower, and right all the same. */
  readonly careful: boolean;
}

/** Writes what a fold has changed: rows and dead letters. */
export async function writeFolded(
  trx: Knex,
  { projection, version }: Claim,
  changes: Changes,
  options: Omit<WriteOptions, 'version'>,
): Promise<void> {
  for (const each of changes.tables) await writeTable(trx, each, { ...options, version });
  await writeDeadLetters(trx, projection.name, version, changes);
}

async function writeTable(
  trx: Knex,
  { table, inserts, updates, deletes }: TableChanges,
  { version, copy, careful }: WriteOptions,
): Promise<void> {
  const target = tableName(table, version);
  const key = columnName(table.key);
  for (let i = 0; i < deletes.length; i += KEYS_AT_ONCE)
    await trx.raw(`delete from ${target} where ${key} = any(?::text[])`, [deletes.slice(i, i + KEYS_AT_ONCE)]);
  const few = inserts.length + updates.length < WORTH_A_COPY;
  if (copy === null || careful || few) return upsert(trx, table, target, [...inserts, ...updates]);
  const columns = Object.keys(table.columns).map(columnName);
  if (inserts.length > 0) await copy(trx, `${target} (${columns.join(', ')})`, linesOf(table, inserts));
  if (updates.length === 0) return;
  const draft = `${target}_draft`;
  await trx.raw(`create temporary table if not exists ${draft} (like ${target}) on commit delete rows`);
  await copy(trx, `${draft} (${columns.join(', ')})`, linesOf(table, updates));
  const others = columns.filter((column) => column !== key);
  await trx
    .raw(
      `update ${target} t set ${others.map((column) => `${column} = d.${column}`).join(', ')}
       from ${draft} d where d.${key} = t.${key}`,
    )
    .options({ query_timeout: WRITE_MS });
}

async function upsert(trx: Knex, table: Table, target: string, rows: readonly Row[]): Promise<void> {
  const columns = Object.keys(table.columns);
  const names = columns.map(columnName);
  const sets = names.map((name) => `${name} = excluded.${name}`).join(', ');
  for (let i = 0; i < rows.length; i += ROWS_AT_ONCE)
    await trx
      .raw(
        `insert into ${target} (${names.join(', ')})
         select ${columns.map((column) => `"${column}"`).join(', ')}
         from json_to_recordset(?::json) as x(${recordsetColumns(table)})
         on conflict (${columnName(table.key)}) do update set ${sets}`,
        [JSON.stringify(rows.slice(i, i + ROWS_AT_ONCE))],
      )
      .options({ query_timeout: WRITE_MS });
}

const NEEDS_ESCAPE = /[\\\t\n\r]/;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

function* linesOf(table: Table, rows: readonly Row[]): Generator<string> {
  const columns = Object.entries(table.columns);
  for (const row of rows) {
    let line = '';
    for (const [column, type] of columns) line += `${line === '' ? '' : '\t'}${cellOf(type, row[column])}`;
    yield `${line}\n`;
  }
}

function cellOf(type: ColumnType, value: unknown): string {
  if (value === null || value === undefined) return '\\N';
  const text = typeof value === 'string' && type !== 'json' ? value : JSON.stringify(value);
  return NEEDS_ESCAPE.test(text) ? text.replace(/[\\\t\n\r]/g, (sign) => ESCAPES[sign] ?? sign) : text;
}

/** Notes dead letters of the version, and how many events wait behind each. */
async function writeDeadLetters(
  trx: Knex,
  projection: string,
  version: number,
  { poison, unplaced = [], waiting }: Changes,
): Promise<void> {
  const letterOf = ({ event, message }: Poison, parks: boolean) => ({
    projection,
    version,
    parks,
    stream: event.stream,
    position: event.position.toString(),
    event_id: event.id,
    type: event.type,
    error: message.replaceAll('\u0000', '\\0').toWellFormed().slice(0, MAX_ERROR).toWellFormed(),
  });
  for (const each of poison) await trx('dead_letters').insert(letterOf(each, true));
  for (const each of unplaced)
    await trx('dead_letters')
      .insert(letterOf(each, false))
      .onConflict(['projection', 'version', 'event_id'])
      .merge({ attempts: trx.raw('dead_letters.attempts + 1'), last_at: trx.raw('now()') });
  for (const [stream, events] of waiting)
    await trx('dead_letters').where({ projection, version, stream, parks: true }).increment('later_events', events);
}

/** Moves the version's checkpoint to the end of a page. @throws Refusal `conflict` when it is not where we left it. */
export async function moveCheckpoint(trx: Knex, claim: Claim, after: bigint, page: Page): Promise<void> {
  const last = page.events.at(-1);
  const event = last?.position === page.through ? last : undefined;
  const moved = await ofClaim(trx, claim)
    .where('position', after.toString())
    .update({
      position: page.through.toString(),
      event_id: event?.id ?? null,
      event_stream: event?.stream ?? null,
      event_revision: event?.revision ?? null,
      builder_at: trx.raw('clock_timestamp()'),
      updated_at: trx.raw('clock_timestamp()'),
    });
  if (moved !== 1) throw lostClaim(claim);
}

/** Reads rows of one version by key. */
export async function loadRows(knex: Knex, table: Table, version: number, keys: string[]): Promise<Row[]> {
  const rows: Row[] = [];
  for (let i = 0; i < keys.length; i += KEYS_AT_ONCE) {
    const found = await knex
      .raw<{ rows: Record<string, unknown>[] }>(
        `select ${selectList(table)} from ${tableName(table, version)}
         where ${columnName(table.key)} = any(?::text[])`,
        [keys.slice(i, i + KEYS_AT_ONCE)],
      )
      .timeout(QUERY_MS);
    for (const raw of found.rows) rows.push(decodeRow(table, raw));
  }
  return rows;
}
