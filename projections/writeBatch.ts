import type { Knex } from 'knex';
import type { FoldedBatch } from './foldBatch.ts';
import type { Table } from './projection.ts';
import { columnName, recordsetColumns, tableName } from './tables.ts';

const WRITE_MS = 30_000;
/** Longest text of an error that is kept. */
const MAX_ERROR = 2_000;

/**
 * Writes what was folded and moves the checkpoints, all or nothing, in one statement: a statement is a transaction, and
 * each more would be a round trip more between an event and whoever waits to read it. Checkpoints are compared and
 * locked first, in a fixed order (two runners would otherwise lock each other out); nothing is written unless all of
 * them stand where they were.
 * The commit does not wait for the disk: a crash loses rows and checkpoint together, and the log still has the events.
 * @returns false when another runner was there first; nothing was written then.
 */
export async function writeBatch(knex: Knex, batches: readonly FoldedBatch[]): Promise<boolean> {
  const statement = compareAndMove(batches);
  for (const batch of batches) {
    addRows(statement, batch);
    addDeadLetters(statement, batch);
  }
  const sql = `with ${statement.parts.join(',\n')}\nselect yes, set_config('synchronous_commit', 'off', true) from allowed`;
  const result = await knex.raw<{ rows: { yes: boolean }[] }>(sql, statement.bindings).timeout(WRITE_MS);
  return result.rows[0]?.yes === true;
}

interface Statement {
  readonly parts: string[];
  readonly bindings: (string | number | string[])[];
}

const ALLOWED = '(select yes from allowed)';

function compareAndMove(batches: readonly FoldedBatch[]): Statement {
  const moves = batches.map(({ member, last }) => ({
    name: member.projection.name,
    version: member.checkpoint.version,
    epoch: member.checkpoint.epoch,
    old: member.checkpoint.position.toString(),
    next: last.position.toString(),
    id: last.id,
    stream: last.stream,
    revision: last.revision,
  }));
  const parts = [
    `given as (select * from json_to_recordset(?::json) as x(name text, version int, epoch int, old bigint, next bigint,
       id uuid, stream text, revision int))`,
    `held as (select p.name from projections p join given g on g.name = p.name and g.version = p.version
       and g.old = p.position and g.epoch = p.epoch order by p.name, p.version for update of p)`,
    `allowed as (select count(*) = ? as yes from held)`,
    `moved as (update projections p set position = g.next, event_id = g.id, event_stream = g.stream,
       event_revision = g.revision, updated_at = now()
       from given g where g.name = p.name and g.version = p.version and ${ALLOWED})`,
  ];
  return { parts, bindings: [JSON.stringify(moves), moves.length] };
}

function addRows({ parts, bindings }: Statement, { member, changes }: FoldedBatch): void {
  for (const { table, upserts, deletes } of changes) {
    const target = tableName(table, member.checkpoint.version);
    const { names, quoted, recordset, sets, key } = sqlOf(table);
    if (upserts.length > 0) {
      // json, not jsonb: it is read once from left to right instead of being built as a tree first.
      parts.push(
        `${target}_rows as (insert into ${target} (${names})
         select ${quoted} from json_to_recordset(?::json) as x(${recordset}) where ${ALLOWED}
         on conflict (${key}) do update set ${sets})`,
      );
      bindings.push(JSON.stringify(upserts));
    }
    if (deletes.length > 0) {
      parts.push(`${target}_gone as (delete from ${target} where ${key} = any(?::text[]) and ${ALLOWED})`);
      bindings.push([...deletes]);
    }
  }
}

interface TableSql {
  readonly names: string;
  readonly quoted: string;
  readonly recordset: string;
  readonly sets: string;
  readonly key: string;
}

/** Made once for each table: for a live write of a few rows it cost more than folding them. */
const made = new WeakMap<Table, TableSql>();

function sqlOf(table: Table): TableSql {
  const found = made.get(table);
  if (found !== undefined) return found;
  const columns = Object.keys(table.columns);
  const names = columns.map(columnName);
  const key = columnName(table.key);
  const sql = {
    names: names.join(', '),
    quoted: columns.map((column) => `"${column}"`).join(', '),
    recordset: recordsetColumns(table),
    sets: names
      .filter((name) => name !== key)
      .map((name) => `${name} = excluded.${name}`)
      .join(', '),
    key,
  };
  made.set(table, sql);
  return sql;
}

function addDeadLetters(statement: Statement, { member, deadLetters, waiting }: FoldedBatch): void {
  const { name } = member.projection;
  const { version } = member.checkpoint;
  const parking = deadLetters.filter(({ unplaced }) => unplaced !== true);
  addLetters(statement, member, parking, waiting);
  const unplaced = deadLetters.filter((each) => each.unplaced === true);
  addLetters(statement, member, unplaced, null);
  const newly = new Set(parking.map(({ event }) => event.stream));
  const later = [...waiting].filter(([stream]) => !newly.has(stream)).map(([stream, events]) => ({ stream, events }));
  if (later.length === 0) return;
  statement.parts.push(
    `${name}_waiting as (update dead_letters d set later_events = d.later_events + x.events, last_at = now()
     from json_to_recordset(?::json) as x(stream text, events bigint)
     where d.projection = ? and d.version = ?::int and d.stream = x.stream and d.parks and ${ALLOWED})`,
  );
  statement.bindings.push(JSON.stringify(later), name, version);
}

/** @param waiting events behind each by stream; null for letters behind which nothing waits. */
function addLetters(
  { parts, bindings }: Statement,
  { projection: { name }, checkpoint: { version } }: FoldedBatch['member'],
  given: FoldedBatch['deadLetters'],
  waiting: ReadonlyMap<string, number> | null,
): void {
  if (given.length === 0) return;
  const letters = given.map(({ event, error }) => ({
    stream: event.stream,
    position: event.position.toString(),
    event_id: event.id,
    type: event.type,
    error: storable(error),
    later_events: waiting?.get(event.stream) ?? 0,
    parks: waiting !== null,
  }));
  const once = waiting === null ? '(projection, version, event_id)' : '(projection, version, stream) where parks';
  parts.push(
    `${name}_${waiting === null ? 'unplaced' : 'parked'} as (insert into dead_letters
       (projection, version, stream, position, event_id, type, error, later_events, parks)
     select ?, ?::int, x.* from json_to_recordset(?::json) as x(stream text, position bigint, event_id uuid, type text,
       error text, later_events bigint, parks boolean) where ${ALLOWED}
     on conflict ${once} do update set position = excluded.position,
       event_id = excluded.event_id, type = excluded.type, error = excluded.error,
       attempts = dead_letters.attempts + 1, later_events = excluded.later_events, last_at = now())`,
  );
  bindings.push(name, version, JSON.stringify(letters));
}

/** What PostgreSQL can keep as text: the error's message may quote the very character that made it fail. */
function storable(text: string): string {
  return text.replaceAll('\u0000', '\\0').toWellFormed().slice(0, MAX_ERROR).toWellFormed();
}

/**
 * Whether an error of `writeBatch` comes from what was written (a value that PostgreSQL cannot hold), so that the same
 * batch would fail for ever. Everything else (connection, time-out, deadlock, disk full) may pass.
 */
export function causedByData(error: unknown): boolean {
  if (error instanceof RangeError) return true;
  if (typeof error !== 'object' || error === null || !('code' in error) || typeof error.code !== 'string') return false;
  // SQLSTATE classes: 22 data exception, 23 integrity constraint violation, 54 program limit exceeded.
  return /^(22|23|54)[0-9A-Z]{3}$/.test(error.code);
}
