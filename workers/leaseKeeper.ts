import type { Pool } from './pool.ts';
import type { WorkerContext } from './worker.ts';

/** Renews the leases of all attempts of this process in one statement, several times within their time. */
export async function keepLeases(ctx: WorkerContext, pool: Pool, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await ctx.engine.clock.sleep(ctx.settings.renewMs, signal);
    const held = [...pool.running.values()].map(({ turnId, fence }) => ({ turnId, fence }));
    if (held.length === 0 || signal.aborted) continue;
    await ctx.leases
      .renew(ctx.worker, held)
      .catch((error: unknown) => ctx.log.warn({ err: error }, 'leases could not be renewed'));
  }
}
