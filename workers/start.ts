import { createAgentProfiles } from './agentProfiles.ts';
import { createCircuits } from './circuit.ts';
import { keepLeases } from './leaseKeeper.ts';
import { followOwnAttempts } from './ownAttempts.ts';
import { createPlaces } from './places.ts';
import { startPool, type Pool } from './pool.ts';
import { runRelay } from './relay.ts';
import { runSweeper } from './sweeper.ts';
import { endOwnOldClaims } from './takeover.ts';
import { createTranscripts } from './transcripts.ts';
import type { WorkerContext, WorkerRole } from './worker.ts';

/** Workers under way. */
export interface Workers {
  /** Takes nothing new; running attempts get `drainMs` to finish, then they are released for others to take over. */
  stop(): Promise<void>;
}

/** Time for a released attempt to be recorded. */
const RELEASE_MS = 5_000;

/** What a process does that does everything. */
const ALL_ROLES: ReadonlySet<WorkerRole> = new Set(['relay', 'sweeper', 'turns']);

/**
 * Starts what the roles say. Turns need nothing of the other two in the same process: wake-ups come over the bus, and
 * what none has reached is found in the read model.
 * @param ready resolves when the read models have seen the log as it is at the start: old claims are found in them.
 */
export async function startWorkers(
  ctx: WorkerContext,
  ready: () => Promise<unknown>,
  roles: ReadonlySet<WorkerRole> = ALL_ROLES,
): Promise<Workers> {
  const after = await ctx.engine.store.head();
  const pulling = new AbortController();
  const following = new AbortController();
  const begun = begin(ctx, ready, pulling.signal);
  const turns = roles.has('turns') ? startTurns(ctx, after, pulling.signal, following.signal) : null;
  const loops = turns?.loops ?? [];
  if (turns !== null) loops.push(begun.then(() => turns.pool.keepLooking()));
  if (roles.has('relay')) loops.push(runRelay(ctx, after, following.signal));
  if (roles.has('sweeper')) {
    const isRunning = (turnId: string) => turns?.pool.running.has(turnId) ?? false;
    loops.push(begun.then(() => runSweeper(ctx, isRunning, pulling.signal)));
  }
  for (const loop of loops) loop.catch((error: unknown) => ctx.log.error({ err: error }, 'a worker loop ended'));
  return {
    async stop() {
      pulling.abort();
      if (turns !== null) await drain(ctx, turns.pool);
      following.abort();
      await Promise.allSettled(loops);
    },
  };
}

/** The pool, and what belongs to its attempts. */
function startTurns(
  ctx: WorkerContext,
  after: bigint,
  pulling: AbortSignal,
  following: AbortSignal,
): { pool: Pool; loops: Promise<void>[] } {
  const transcripts = createTranscripts(ctx.engine.store);
  const places = createPlaces(ctx);
  const sources = { transcripts, profiles: createAgentProfiles(ctx.engine), circuits: createCircuits(ctx), places };
  const pool = startPool(ctx, sources, pulling);
  const loops = [followOwnAttempts(ctx, pool, transcripts, after, following), keepLeases(ctx, pool, places, following)];
  return { pool, loops };
}

async function drain(ctx: WorkerContext, pool: Pool): Promise<void> {
  const waiting = new AbortController();
  const drained = pool.idle().then(() => waiting.abort());
  await Promise.race([drained, ctx.engine.clock.sleep(ctx.settings.drainMs, waiting.signal)]);
  for (const turnId of pool.running.keys()) pool.stop(turnId, 'released');
  await Promise.race([drained, ctx.engine.clock.sleep(RELEASE_MS, waiting.signal)]);
}

/** Never rejects: without the sweeper nothing would ever be taken over. */
async function begin(ctx: WorkerContext, ready: () => Promise<unknown>, signal: AbortSignal): Promise<void> {
  // A stop does not wait for read models that are far behind.
  const stopped = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  while (!signal.aborted) {
    try {
      await Promise.race([ready(), stopped]);
      const ended = signal.aborted ? 0 : await endOwnOldClaims(ctx);
      if (ended > 0) ctx.log.info({ ended }, 'attempts of this worker from before its start were ended');
      return;
    } catch (error) {
      ctx.log.warn({ err: error }, 'the attempts from before the start could not be ended: trying again');
      await ctx.engine.clock.sleep(ctx.settings.sweepMs, signal);
    }
  }
}
