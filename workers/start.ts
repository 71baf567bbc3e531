import { keepLeases } from './leaseKeeper.ts';
import { startPool } from './pool.ts';
import { runRelay } from './relay.ts';
import { runSweeper } from './sweeper.ts';
import { endOwnOldClaims } from './takeover.ts';
import { createTranscripts } from './transcripts.ts';
import type { WorkerContext } from './worker.ts';

/** Workers under way. */
export interface Workers {
  /** Takes nothing new; running attempts get `drainMs` to finish, then they are released for others to take over. */
  stop(): Promise<void>;
}

/** Time for a released attempt to be recorded. */
const RELEASE_MS = 5_000;

/**
 * Starts relay, turn workers, lease keeper and sweeper.
 * @param ready resolves when the read models have seen the log as it is at the start: old claims are found in them.
 */
export async function startWorkers(ctx: WorkerContext, ready: () => Promise<unknown>): Promise<Workers> {
  const after = await ctx.engine.store.head();
  const pulling = new AbortController();
  const following = new AbortController();
  const transcripts = createTranscripts(ctx.engine.store);
  const pool = startPool(ctx, transcripts, pulling.signal);
  const loops = [
    runRelay(ctx, pool, transcripts, after, following.signal),
    keepLeases(ctx, pool, following.signal),
    begin(ctx, ready, () => runSweeper(ctx, pool, pulling.signal)),
  ];
  for (const loop of loops) loop.catch((error: unknown) => ctx.log.error({ err: error }, 'a worker loop ended'));
  return {
    async stop() {
      pulling.abort();
      const drained = pool.idle();
      await Promise.race([drained, ctx.engine.clock.sleep(ctx.settings.drainMs)]);
      for (const turnId of pool.running.keys()) pool.stop(turnId, 'released');
      await Promise.race([drained, ctx.engine.clock.sleep(RELEASE_MS)]);
      following.abort();
      await Promise.allSettled(loops);
    },
  };
}

async function begin(ctx: WorkerContext, ready: () => Promise<unknown>, sweeper: () => Promise<void>): Promise<void> {
  await ready();
  const ended = await endOwnOldClaims(ctx);
  if (ended > 0) ctx.log.info({ ended }, 'attempts of this worker from before its start were ended');
  await sweeper();
}
