import type { Knex } from 'knex';
import { agents } from './agents.ts';
import { claimsTable, type ClaimRow } from './claims.ts';
import { discussions } from './discussions.ts';
import { openTurnsTable } from './openTurns.ts';
import { decodeRow, liveView, selectList } from './tables.ts';
import { turns, turnsTable, type TurnRow } from './turns.ts';

export interface WaitingTurn {
  readonly turnId: string;
  readonly discussionId: string;
  readonly project: string;
  readonly participantId: string;
  readonly number: number;
  /** Attempts so far. */
  readonly attempts: number;
  readonly priority: number;
}

export interface OverdueTurn {
  readonly turnId: string;
  readonly discussionId: string;
  readonly project: string;
}

/** Queries of the read model `turns`. */
export function turnQueries(knex: Knex) {
  const history = () =>
    knex(liveView(turns, turnsTable)).select<Record<string, unknown>[]>(knex.raw(selectList(turnsTable)));
  const claims = () =>
    knex(liveView(turns, claimsTable)).select<Record<string, unknown>[]>(knex.raw(selectList(claimsTable)));
  return {
    async one(discussionId: string, turnId: string): Promise<TurnRow | null> {
      const [row] = await history().where({ discussion_id: discussionId, turn_id: turnId });
      return row ? decodeRow(turnsTable, row) : null;
    },

    /** A page of a discussion's turns by number; `after` is exclusive, `backwards` starts from the latest. */
    async byDiscussion(
      discussionId: string,
      options: { after?: number; backwards?: boolean; limit: number },
    ): Promise<TurnRow[]> {
      const query = history().where('discussion_id', discussionId);
      if (options.after !== undefined) void query.where('number', options.backwards ? '<' : '>', options.after);
      const rows = await query.orderBy('number', options.backwards ? 'desc' : 'asc').limit(options.limit);
      return rows.map((row) => decodeRow(turnsTable, row));
    },

    waiting: (options: WaitingOptions) => waitingTurns(knex, options),

    /** Attempts that a worker holds, of whatever incarnation: a restarted worker gives up its old ones. */
    async claimedBy(worker: string): Promise<ClaimRow[]> {
      const rows = await claims().where({ worker }).orderBy('claimed_at');
      return rows.map((row) => decodeRow(claimsTable, row));
    },

    /** All attempts that are running, for watching their leases; the oldest first. */
    async claimedOpen(options: { limit: number }): Promise<ClaimRow[]> {
      const rows = await claims().orderBy('claimed_at').limit(options.limit);
      return rows.map((row) => decodeRow(claimsTable, row));
    },

    /** Turns whose participant has not answered in time, the longest overdue first; a pause does not stop that clock. */
    async overdue(options: { limit: number; now: number }): Promise<OverdueTurn[]> {
      return knex(liveView(turns, openTurnsTable))
        .select<OverdueTurn[]>('turn_id as turnId', 'discussion_id as discussionId', 'project')
        .where('answer_by', '<=', new Date(options.now).toISOString())
        .orderBy('answer_by')
        .limit(options.limit);
    },
  };
}

/** `now` in milliseconds since the epoch; turns of the models `without`, as `provider/model`, are left out. */
interface WaitingOptions {
  readonly limit: number;
  readonly now: number;
  readonly without?: readonly string[];
}

/**
 * Turns that a worker may claim now, the one to take first at the front: by priority, then by the project with the
 * fewest attempts running, then by age. Each turn listed counts as running for those of its project behind it, so that
 * a page of one busy project's turns does not keep the others out.
 */
async function waitingTurns(knex: Knex, { limit, now, without = [] }: WaitingOptions): Promise<WaitingTurn[]> {
  const result = await knex.raw<{ rows: WaitingTurn[] }>(
    `with running as (select project, count(*) as n from ${liveView(turns, claimsTable)} group by project),
     ranked as (
       select o.*, coalesce(r.n, 0)
         + row_number() over (partition by o.project order by o.priority desc, o.requested_position) as place
       from ${liveView(turns, openTurnsTable)} o left join running r on r.project = o.project
       where o.status in ('requested', 'retrying') and o.answered_by = 'model' and not o.paused and o.due_at <= ?
         ${without.length === 0 ? '' : `and not exists (${modelOfTurn} and ${modelName} = any (?))`})
     select turn_id as "turnId", discussion_id as "discussionId", project, participant_id as "participantId",
       number, attempts, priority
     from ranked order by priority desc, place, requested_position limit ?`,
    [new Date(now).toISOString(), ...(without.length === 0 ? [] : [[...without]]), limit],
  );
  return result.rows;
}

const modelName = `(v.model ->> 'provider') || '/' || (v.model ->> 'name')`;

/** The agent's version that a turn `o` is for. A turn whose discussion or agent is not read yet has none. */
const modelOfTurn = `
  select from ${liveView(discussions, { name: 'discussions' })} d, jsonb_array_elements(d.participants) p,
    ${liveView(agents, { name: 'agents_versions' })} v
  where d.id = o.discussion_id and p ->> 'participantId' = o.participant_id
    and v.key = (p ->> 'agentId') || '/' || (p ->> 'agentVersion')`;
