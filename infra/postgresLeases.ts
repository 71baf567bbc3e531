/** The Leases port: one row per claimed turn, one statement per call. */
import type pg from 'pg';
import type { Lease, Leases } from '../domain/ports.ts';
import { runRead } from './postgresQuery.ts';

const DEADLINE_MS = 5_000;

/**
 * Leases in the table of migration 002. A renewal of an older claim never replaces a newer one's. Every failure is a
 * `Refusal`: a renewal that was lost is made up by the next.
 */
export function createPostgresLeases({ pool }: { pool: pg.Pool }): Leases {
  return {
    async renew(worker, held) {
      if (held.length === 0) return;
      const values = [worker, held.map(({ turnId }) => turnId), held.map(({ fence }) => fence)];
      await runRead(pool, { text: renewSql, values, deadlineMs: DEADLINE_MS });
    },
    async release(turnIds) {
      if (turnIds.length === 0) return;
      await runRead(pool, { text: releaseSql, values: [turnIds], deadlineMs: DEADLINE_MS });
    },
    async list(turnIds) {
      if (turnIds.length === 0) return [];
      const rows = await runRead<LeaseRow>(pool, { text: listSql, values: [turnIds], deadlineMs: DEADLINE_MS });
      return rows.map(asLease);
    },
  };
}

interface LeaseRow {
  turn_id: string;
  worker: string;
  fence: string;
  renewals: string;
}

// Ordered, so that two workers that hold each other's turns by mistake never wait for one another's row locks.
const renewSql = `
insert into leases as l (turn_id, worker, fence, renewals)
select turn_id, $1, max(fence), 1 from unnest($2::uuid[], $3::bigint[]) held(turn_id, fence)
group by turn_id order by turn_id
on conflict (turn_id) do update set worker = excluded.worker, fence = excluded.fence, renewals = l.renewals + 1,
  renewed_at = excluded.renewed_at
where l.fence <= excluded.fence`;
const releaseSql = `
delete from leases where turn_id in (
  select turn_id from leases where turn_id = any ($1::uuid[]) order by turn_id for update
)`;
const listSql = 'select turn_id, worker, fence, renewals from leases where turn_id = any ($1::uuid[]) order by turn_id';

function asLease(row: LeaseRow): Lease {
  return { turnId: row.turn_id, worker: row.worker, fence: Number(row.fence), renewals: Number(row.renewals) };
}
