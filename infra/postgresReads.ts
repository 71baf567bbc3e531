/** The statements that read the log. */
import type pg from 'pg';
import { Refusal } from '../domain/refusal.ts';
import { type Page, PAGE_BYTES, type PageReads, type StoredRow } from './logPages.ts';
import { runRead, type Statement } from './postgresQuery.ts';

const READ_MS = 15_000;

interface PageRow {
  position: string;
  stream: string;
  revision: string;
  id: string;
  type: string;
  schema_version: number;
  data: string;
  metadata: string;
  bytes: string;
}

export interface Reads extends PageReads {
  head(): Promise<number>;
  lineage(): Promise<string>;
  /** Id and position of each event of the wanted ranges (both ends inclusive). */
  ranges(wanted: readonly { stream: string; from: number; to: number }[]): Promise<RangeRow[]>;
}

export interface RangeRow {
  readonly stream: string;
  readonly revision: number;
  readonly id: string;
  readonly position: number;
}

/** @param named whether statements may be kept per connection (not where connections share one session). */
export function createReads(pool: pg.Pool, named: boolean): Reads {
  let magnitude = 0;
  // A kept plan made while the log was nearly empty reads the whole table; so plan anew whenever the log has doubled.
  const statement = (name: string, text: string, values: unknown[]): Statement => ({
    ...(named ? { name: `${name}_${magnitude}` } : {}),
    text,
    values,
    deadlineMs: READ_MS,
  });
  const page = async (name: string, text: string, values: unknown[], limit: number): Promise<Page> => {
    const found = await runRead<PageRow>(pool, statement(name, text, values));
    const rows = found.map(asStoredRow);
    for (const row of [rows[0], rows.at(-1)]) magnitude = Math.max(magnitude, Math.ceil(Math.log2(row?.position ?? 1)));
    return { rows, more: rows.length === limit || Number(found.at(-1)?.bytes ?? 0) > PAGE_BYTES };
  };
  return {
    stream: (stream, from, backwards, limit) =>
      backwards
        ? page('log_back', backwardsSql, [stream, from, limit], limit)
        : page('log_stream', forwardsSql, [stream, from, limit], limit),
    after: (position, limit) => page('log_after', afterSql, [position, limit], limit),
    async head() {
      const [row] = await runRead<{ position: string }>(pool, statement('log_head', headSql, []));
      return Number(row?.position ?? 0);
    },
    async lineage() {
      const [row] = await runRead<{ lineage: string }>(
        pool,
        statement('log_lineage', 'select lineage from log_head', []),
      );
      if (row === undefined) throw new Refusal('internal', 'the log has no head: the database was not migrated');
      return row.lineage;
    },
    async ranges(wanted) {
      if (wanted.length === 0) return [];
      const values = [wanted.map(({ stream }) => stream), wanted.map(({ from }) => from), wanted.map(({ to }) => to)];
      const rows = await runRead<{ stream: string; revision: string; id: string; position: string }>(pool, {
        text: rangesSql,
        values,
        deadlineMs: READ_MS,
      });
      return rows.map((row) => ({ ...row, revision: Number(row.revision), position: Number(row.position) }));
    },
  };
}

/** The head of the log, as `position`. */
export const headSql = 'select position from log_head';

// octet_length knows the size of a large value without fetching it.
const pageSql = (where: string, order: string, limit: string): string => `
select * from (
  select *, sum(octet_length(data)) over (order by ${order} rows unbounded preceding) as bytes
  from (
    select position, stream, revision, id, type, schema_version, data, metadata
    from events where ${where} order by ${order} limit ${limit}
  ) page
) counted where bytes - octet_length(data) <= ${PAGE_BYTES} order by ${order}`;
const forwardsSql = pageSql('stream = $1 and revision >= $2', 'revision', '$3');
const backwardsSql = pageSql('stream = $1 and revision <= $2', 'revision desc', '$3');
const afterSql = pageSql('position > $1', 'position', '$2');
const rangesSql = `
select e.stream, e.revision, e.id, e.position
from unnest($1::text[], $2::bigint[], $3::bigint[]) w(stream, low, high)
join events e on e.stream = w.stream and e.revision between w.low and w.high
order by e.stream, e.revision`;

function asStoredRow(row: PageRow): StoredRow {
  return {
    position: Number(row.position),
    stream: row.stream,
    revision: Number(row.revision),
    id: row.id,
    type: row.type,
    schemaVersion: row.schema_version,
    data: row.data,
    metadata: row.metadata,
  };
}
