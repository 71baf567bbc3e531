/** The Tickets port: one row per ticket, one statement per call, on the server's clock. */
import type pg from 'pg';
import type { Tickets } from '../domain/ports.ts';
import type { Ticket } from '../domain/tickets.ts';
import { runRead } from './postgresQuery.ts';

const DEADLINE_MS = 5_000;

/**
 * Tickets in the table of migration 005. Each call is one statement, so a ticket is spent once however many ask. Every
 * failure is a `Refusal`; a ticket whose spending was not answered may be spent.
 */
export function createPostgresTickets({ pool }: { pool: pg.Pool }): Tickets {
  return {
    async keep(hash, { owner, path, holder }, { lifeMs, perOwner, inAll }) {
      const values = [hash, owner, path, holder, lifeMs, perOwner, inAll];
      const rows = await runRead<{ ends: number }>(pool, { text: keepSql, values, deadlineMs: DEADLINE_MS });
      return rows[0]?.ends ?? null;
    },
    async spend(hash) {
      const rows = await runRead<Ticket>(pool, { text: spendSql, values: [hash], deadlineMs: DEADLINE_MS });
      return rows[0] ?? null;
    },
  };
}

// Sweeps more than it adds, so the expired never pile up; what another process sweeps meanwhile is left to it.
const keepSql = `
with swept as (
  delete from stream_tickets where hash in (
    select hash from stream_tickets where ends_at <= now() order by ends_at limit 100 for update skip locked
  )
)
insert into stream_tickets (hash, owner, path, holder, ends_at)
select $1, $2, $3, $4, now() + $5::float8 * interval '1 millisecond'
where (select count(*) from stream_tickets where owner = $2 and ends_at > now()) < $6::int
  and (select count(*) from stream_tickets where ends_at > now()) < $7::int
returning floor(extract(epoch from ends_at) * 1000)::float8 as ends`;
const spendSql = 'delete from stream_tickets where hash = $1 and ends_at > now() returning owner, path, holder';
