import type { Knex } from 'knex';
import type { HistoryPart } from '../domain/discussion/lineage.ts';
import { agents } from './agents.ts';
import { claimsTable, type ClaimRow } from './claims.ts';
import { discussions } from './discussions.ts';
import { pageOverParts } from './lineagePages.ts';
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
    /** A turn of a discussion, or of those it was forked from as far as they count. */
    async one(parts: readonly HistoryPart[], turnId: string): Promise<TurnRow | null> {
      const keys = parts.map(({ discussionId }) => `${discussionId}/${turnId}`);
      const rows = (await history().whereIn('key', keys)).map((row) => decodeRow(turnsTable, row));
      const counts = ({ discussionId, number }: TurnRow) => {
        const part = parts.find((each) => each.discussionId === discussionId);
        return part !== undefined && number > part.turnsAfter && (part.turns === null || number <= part.turns);
      };
      return rows.find(counts) ?? null;
    },

    /**
     * A page of the turns of a discussion and of those it was forked from, by number; `after` is exclusive, `backwards`
     * starts from the latest.
     */
    async byDiscussion(
      parts: readonly HistoryPart[],
      options: { after?: number; backwards?: boolean; limit: number },
    ): Promise<TurnRow[]> {
      const ranges = parts.map((part) => ({ part, above: part.turnsAfter, upTo: part.turns }));
      return pageOverParts(ranges, options, async ({ discussionId }, { above, below, backwards, limit }) => {
        const query = history().where('discussion_id', discussionId).where('number', '>', above);
        if (below !== null) void query.where('number', '<', below);
        const rows = await query.orderBy('number', backwards ? 'desc' : 'asc').limit(limit);
        return rows.map((row) => decodeRow(turnsTable, row));
      });
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
