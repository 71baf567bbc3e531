import type { Knex } from 'knex';
import { openTurnsTable } from './openTurns.ts';
import { liveView } from './tables.ts';
import { turns, turnsTable } from './turns.ts';

/** Turns that wait for a model or are with one, and when the oldest was requested; paused discussions left out. */
export interface OpenTurnsSummary {
  readonly count: number;
  /** Milliseconds since the epoch; null when there is none. */
  readonly oldestRequestedMs: number | null;
}

/** One pass over the open discussions, of which each has one row. */
export async function openTurnsSummary(knex: Knex): Promise<OpenTurnsSummary> {
  const result = await knex.raw<{ rows: { count: string; oldest: Date | string | null }[] }>(
    `with open as (
       select turn_id, requested_position from ${liveView(turns, openTurnsTable)}
       where turn_id is not null and answered_by = 'model' and not paused)
     select (select count(*) from open)::text as count,
       (select requested_at from ${liveView(turns, turnsTable)}
        where turn_id = (select turn_id from open order by requested_position limit 1)) as oldest`,
  );
  const [row] = result.rows;
  const oldest = row?.oldest ?? null;
  return { count: Number(row?.count ?? 0), oldestRequestedMs: oldest === null ? null : new Date(oldest).getTime() };
}
