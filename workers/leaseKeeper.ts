import type { Places } from './places.ts';
import type { Pool } from './pool.ts';
import type { WorkerContext } from './worker.ts';

/** Renews the leases of all attempts of this process in one statement, and their places at models, several times within their time. */
export async function keepLeases(ctx: WorkerContext, pool: Pool, places: Places, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await ctx.engine.clock.sleep(ctx.settings.renewMs, signal);
    if (signal.aborted) return;
    await places
      .renew()
      .catch((error: unknown) => ctx.log.warn({ err: error }, 'places at models could not be renewed'));
    const held = [...pool.running.values()].map(({ turnId, fence }) => ({ turnId, fence }));
    if (held.length === 0) continue;
    await ctx.leases
      .renew(ctx.worker, held)
      .catch((error: unknown) => ctx.log.warn({ err: error }, 'leases could not be renewed'));
  }
}
