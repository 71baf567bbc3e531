import type { Knex } from 'knex';
import { claimsTable } from './claims.ts';
import { openTurnsTable } from './openTurns.ts';
import { liveView } from './tables.ts';
import { turns, turnsTable } from './turns.ts';

/**
 * Why an open turn does not go on: `unclaimed`, due and no worker took it; `silent`, its worker has not renewed its lease;
 * `overdue`, its participant has not answered in time and nobody skipped it; `unsettled`, it has ended, but the attempt
 * that was under way was never accounted for.
 */
export type StuckReason = 'unclaimed' | 'silent' | 'overdue' | 'unsettled';

export type OpenTurn = {
  readonly turnId: string;
  readonly discussionId: string;
  readonly project: string;
  readonly number: number;
  readonly participantId: string;
  readonly status: string;
  readonly paused: boolean;
  /** Who holds its attempt. */
  readonly worker: string | null;
  readonly stuck: { readonly reason: StuckReason; readonly since: string; readonly seconds: number } | null;
};

export interface OpenTurnFilter {
  /** Null for all. */
  readonly projects: readonly string[] | null;
  readonly stuckOnly: boolean;
  /** How long what should have happened may be late. */
  readonly olderThanSeconds: number;
  readonly offset?: number;
  readonly limit: number;
}

const QUERY_MS = 10_000;

/** Queries over all open turns, by the database's clock. Leases are not replicated: ask the primary. */
export function stuckTurnQueries(knex: Knex) {
  return {
    /** How many turns are open, and how many of them have been stuck for so long. */
    async count(olderThanSeconds: number): Promise<{ open: number; stuck: number }> {
      const result = await knex
        .raw<{ rows: { open: string; stuck: string }[] }>(
          `with seen as (${SEEN})
           select count(*)::text as open, count(*) filter (
             where reason is not null and stuck_since + make_interval(secs => ?) <= clock_timestamp())::text as stuck
           from seen`,
          [olderThanSeconds],
        )
        .timeout(QUERY_MS);
      return { open: Number(result.rows[0]?.open ?? 0), stuck: Number(result.rows[0]?.stuck ?? 0) };
    },

    /** The longest stuck first, then by age. */
    async list(filter: OpenTurnFilter): Promise<OpenTurn[]> {
      const { projects, stuckOnly, olderThanSeconds, offset = 0, limit } = filter;
      const result = await knex
        .raw<{ rows: OpenTurnRow[] }>(
          `with seen as (${SEEN}),
           judged as (select *, case when stuck_since + make_interval(secs => ?) <= clock_timestamp() then reason end as why
             from seen)
           select "turnId", "discussionId", project, number, "participantId", status, paused, worker, why,
             stuck_since as since, extract(epoch from clock_timestamp() - stuck_since)::float8 as seconds
           from judged
           where (?::boolean or project = any (?::text[])) and (not ?::boolean or why is not null)
           order by why is null, stuck_since, "discussionId" limit ? offset ?`,
          [olderThanSeconds, projects === null, [...(projects ?? [])], stuckOnly, limit, offset],
        )
        .timeout(QUERY_MS);
      return result.rows.map(shown);
    },
  };
}

type OpenTurnRow = Omit<OpenTurn, 'stuck'> & { why: StuckReason | null; since: Date | null; seconds: number };

const SEEN = `
  select t.turn_id as "turnId", t.discussion_id as "discussionId", t.project, t.number,
    t.participant_id as "participantId", t.status, coalesce(o.paused, false) as paused, c.worker,
    case
      when c.turn_id is not null and o.turn_id is null then 'unsettled'
      when c.turn_id is not null then 'silent'
      when o.answered_by = 'participant' then 'overdue'
      when not o.paused then 'unclaimed'
    end as reason,
    case
      when c.turn_id is not null
        then coalesce(l.renewed_at, c.claimed_at) + c.lease_ms * interval '1 millisecond'
      when o.answered_by = 'participant' then o.answer_by
      when not o.paused then o.due_at
    end as stuck_since
  from (
    select discussion_id, turn_id from ${liveView(turns, openTurnsTable)} where turn_id is not null
    union select discussion_id, turn_id from ${liveView(turns, claimsTable)}
  ) open
  join ${liveView(turns, turnsTable)} t on t.discussion_id = open.discussion_id and t.turn_id = open.turn_id
  left join ${liveView(turns, openTurnsTable)} o on o.discussion_id = open.discussion_id and o.turn_id = open.turn_id
  left join ${liveView(turns, claimsTable)} c on c.discussion_id = open.discussion_id and c.turn_id = open.turn_id
  left join leases l on l.turn_id::text = c.turn_id and l.fence = c.fence`;

function shown({ why, since, seconds, ...turn }: OpenTurnRow): OpenTurn {
  const stuck =
    why === null || since === null
      ? null
      : { reason: why, since: new Date(since).toISOString(), seconds: Math.round(seconds) };
  return { ...turn, stuck };
}
