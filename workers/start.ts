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
    begin(ctx, ready, pulling.signal).then(() => runSweeper(ctx, pool, pulling.signal)),
  ];
  for (const loop of loops) loop.catch((error: unknown) => ctx.log.error({ err: error }, 'a worker loop ended'));
  return {
    async stop() {
      pulling.abort();
      const waiting = new AbortController();
      const drained = pool.idle().then(() => waiting.abort());
      await Promise.race([drained, ctx.engine.clock.sleep(ctx.settings.drainMs, waiting.signal)]);
      for (const turnId of pool.running.keys()) pool.stop(turnId, 'released');
      await Promise.race([drained, ctx.engine.clock.sleep(RELEASE_MS, waiting.signal)]);
      following.abort();
      await Promise.allSettled(loops);
    },
  };
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
