import { v5 as uuidv5 } from 'uuid';
import type { Asked } from '../commands/dispatch.ts';
import { expireDiscussion } from '../commands/expireDiscussion.ts';
import { skipTurn } from '../commands/skipTurn.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Pool } from './pool.ts';
import { createWatch, type Watch } from './takeover.ts';
import { askedBy, type WorkerContext } from './worker.ts';

/** Most of each kind of open work handled in one sweep. */
const MAX_FOUND = 500;

/**
 * Finds open work from the read models, whatever became of its wake-up: waiting turns, silent attempts, turns whose
 * participant did not answer in time, discussions past their deadline. Everything it does may be done twice.
 */
export async function runSweeper(ctx: WorkerContext, pool: Pool, signal: AbortSignal): Promise<void> {
  const watch = createWatch(ctx, (turnId) => pool.running.has(turnId));
  let waitedBefore = new Set<string>();
  while (!signal.aborted) {
    try {
      waitedBefore = await sweep(ctx, pool, watch, waitedBefore);
    } catch (error) {
      ctx.log.warn({ err: error }, 'a sweep failed: trying again');
    }
    await ctx.engine.clock.sleep(ctx.settings.sweepMs, signal);
  }
}

async function sweep(
  ctx: WorkerContext,
  pool: Pool,
  watch: Watch,
  waitedBefore: ReadonlySet<string>,
): Promise<Set<string>> {
  const now = ctx.engine.clock.now();
  await watch.look();
  const waiting = await ctx.turns.waiting({ limit: MAX_FOUND, now: now - 1 });
  const idle = pool.running.size < ctx.settings.concurrency;
  for (const { project, discussionId, turnId } of waiting) {
    if (pool.running.has(turnId)) continue;
    if (idle && waitedBefore.has(turnId)) ctx.telemetry.count('sweeper_recovered_total', { kind: 'turn' });
    await ctx.bus.wake({ kind: 'turn', project, discussionId, turnId, revision: 0 });
  }
  for (const { discussionId, turnId } of await ctx.turns.overdue({ limit: MAX_FOUND, now }))
    await unlessRefused(ctx, () => skipTurn(ctx.engine, discussionId, turnId, once(ctx, 'skip', turnId)));
  for (const { id: discussionId } of await ctx.discussions.pastDeadline({ limit: MAX_FOUND, now }))
    await unlessRefused(ctx, () => expireDiscussion(ctx.engine, discussionId, once(ctx, 'expire', discussionId)));
  return new Set(waiting.map(({ turnId }) => turnId));
}

/** The same command whoever finds the work first. */
function once(ctx: WorkerContext, what: string, id: string): Asked {
  return askedBy(ctx, uuidv5(what, id), null);
}

/** A read model may be behind: what it found may be done already. One that is refused must not keep the others waiting. */
async function unlessRefused(ctx: WorkerContext, command: () => Promise<unknown>): Promise<void> {
  try {
    await command();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.code === 'conflict') return;
    if (error.retryable) throw error;
    ctx.log.warn({ err: error }, 'what the sweeper found could not be ended');
  }
}
