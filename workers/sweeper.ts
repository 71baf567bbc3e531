import { LRUCache } from 'lru-cache';
import { v5 as uuidv5 } from 'uuid';
import type { Asked } from '../commands/dispatch.ts';
import { expireDiscussion } from '../commands/expireDiscussion.ts';
import { skipTurn } from '../commands/skipTurn.ts';
import type { Cause } from '../domain/discussion/state.ts';
import { Refusal } from '../domain/refusal.ts';
import { causeAt, causeOfTurn } from './causeOf.ts';
import { createWatch, type Watch } from './takeover.ts';
import { askedBy, type WorkerContext } from './worker.ts';

/** Most of each kind of open work handled in one sweep. */
const MAX_FOUND = 500;
/** Wake-ups of one sweep at most: workers with room find by themselves what was forgotten, these only make it sooner. */
const MAX_WOKEN = 50;
/** Sweeps before a turn that still waits is woken again. */
const WAKE_AGAIN = 12;

/**
 * Finds open work from the read models, whatever became of its wake-up: waiting turns, silent attempts, turns whose
 * participant did not answer in time, discussions past their deadline. Everything it does may be done twice.
 * @param isRunning whether an attempt at a turn is under way in this process.
 */
export async function runSweeper(
  ctx: WorkerContext,
  isRunning: (turnId: string) => boolean,
  signal: AbortSignal,
): Promise<void> {
  const watch = createWatch(ctx, isRunning);
  const woken = new LRUCache<string, number>({ max: 20 * MAX_WOKEN });
  while (!signal.aborted) {
    try {
      await sweep(ctx, watch, woken);
    } catch (error) {
      ctx.log.warn({ err: error }, 'a sweep failed: trying again');
    }
    await ctx.engine.clock.sleep(ctx.settings.sweepMs, signal);
  }
}

/** Wakes only what seems forgotten, and that seldom: a long queue is no reason to fill the bus at every sweep. */
async function wakeForgotten(ctx: WorkerContext, woken: LRUCache<string, number>): Promise<void> {
  const { clock } = ctx.engine;
  const { sweepMs } = ctx.settings;
  const waiting = await ctx.turns.waiting({ limit: MAX_WOKEN, now: clock.now() - sweepMs });
  for (const { project, discussionId, turnId } of waiting) {
    if (clock.monotonic() - (woken.get(turnId) ?? -Infinity) < WAKE_AGAIN * sweepMs) continue;
    woken.set(turnId, clock.monotonic());
    await ctx.bus.wake({ kind: 'turn', project, discussionId, turnId, revision: 0 });
  }
}

async function sweep(ctx: WorkerContext, watch: Watch, woken: LRUCache<string, number>): Promise<void> {
  const now = ctx.engine.clock.now();
  await watch.look();
  await wakeForgotten(ctx, woken);
  for (const { discussionId, turnId } of await ctx.turns.overdue({ limit: MAX_FOUND, now }))
    await unlessRefused(ctx, async () => {
      const cause = await causeOfTurn(ctx, discussionId, turnId);
      return skipTurn(ctx.engine, discussionId, turnId, once(ctx, 'skip', turnId, cause));
    });
  for (const { id: discussionId } of await ctx.discussions.pastDeadline({ limit: MAX_FOUND, now }))
    await unlessRefused(ctx, async () => {
      const cause = await causeAt(ctx, discussionId, 0);
      return expireDiscussion(ctx.engine, discussionId, once(ctx, 'expire', discussionId, cause));
    });
}

/** The same command whoever finds the work first. */
function once(ctx: WorkerContext, what: string, id: string, cause: Cause | null): Asked {
  return askedBy(ctx, uuidv5(what, id), cause);
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
