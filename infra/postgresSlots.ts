/** The Slots port: one row per place that is held, one statement per call. */
import type pg from 'pg';
import type { Slots } from '../domain/ports.ts';
import { runRead } from './postgresQuery.ts';

const DEADLINE_MS = 5_000;

/**
 * Places in the table of migration 004, counted under a lock per name; they end by the database's clock. Every failure is
 * a `Refusal`: a place that was taken without the caller knowing it is the holder's at its next try, or ends by itself.
 */
export function createPostgresSlots({ pool }: { pool: pg.Pool }): Slots {
  return {
    async take(holder, wanted, leaseMs) {
      if (wanted.length === 0) return true;
      const values = [holder, wanted.map(({ name }) => name), wanted.map(({ limit }) => limit), leaseMs];
      const [row] = await runRead<{ taken: boolean }>(pool, { text: takeSql, values, deadlineMs: DEADLINE_MS });
      return row?.taken === true;
    },
    async renew(holders) {
      if (holders.length === 0) return;
      await runRead(pool, { text: renewSql, values: [holders], deadlineMs: DEADLINE_MS });
    },
    async free(holders) {
      if (holders.length === 0) return;
      await runRead(pool, { text: freeSql, values: [holders], deadlineMs: DEADLINE_MS });
    },
  };
}

const takeSql = 'select slots_take($1, $2::text[], $3::int[], $4) as taken';
// In the order in which others lock the rows, so that nobody waits for one another.
const heldSql = 'select name, holder from slots where holder = any ($1::text[]) order by name, holder for update';
const renewSql = `
update slots s set ends_at = clock_timestamp() + s.lease_ms * interval '1 millisecond'
from (${heldSql}) held where s.name = held.name and s.holder = held.holder`;
const freeSql = `delete from slots s using (${heldSql}) held where s.name = held.name and s.holder = held.holder`;
