/** The RequestCounts port: one row per key, one statement per call, on the server's clock. */
import type pg from 'pg';
import type { RequestCounts } from '../domain/ports.ts';
import { runRead } from './postgresQuery.ts';

/** Requests wait for it, and go on without when it does not answer. */
const DEADLINE_MS = 1_000;

/** Every so many calls sweep what has expired. */
const CALLS_PER_SWEEP = 64;

/** Counts in the table of migration 005. Every failure is a `Refusal`. */
export function createPostgresRequestCounts({ pool }: { pool: pg.Pool }): RequestCounts {
  let calls = 0;
  return {
    async add(counted, windowMs) {
      if (counted.length === 0) return [];
      if (calls++ % CALLS_PER_SWEEP === 0) await runRead(pool, { text: sweepSql, values: [], deadlineMs: DEADLINE_MS });
      const values = [counted.map(({ key }) => key), counted.map(({ hits }) => hits), windowMs];
      return await runRead<CountRow>(pool, { text: addSql, values, deadlineMs: DEADLINE_MS });
    },
  };
}

interface CountRow {
  key: string;
  hits: number;
  leftMs: number;
}

const sweepSql = `
delete from request_counts where key in (
  select key from request_counts where ends_at <= now() order by ends_at limit 10000 for update skip locked
)`;
// Ordered, so that two processes that count the same keys never wait for one another's row locks.
const addSql = `
insert into request_counts as c (key, hits, ends_at)
select key, hits, now() + $3::float8 * interval '1 millisecond'
from unnest($1::text[], $2::int[]) as t(key, hits) order by key
on conflict (key) do update set
  hits = case when c.ends_at <= now() then excluded.hits else c.hits + excluded.hits end,
  ends_at = case when c.ends_at <= now() then excluded.ends_at else c.ends_at end
returning key, hits::float8 as hits, greatest(0, extract(epoch from ends_at - now()) * 1000)::float8 as "leftMs"`;
