import type { WakeUp } from '../domain/ports.ts';
import type { WorkerContext } from './worker.ts';

/** Wake-ups for turns whose next attempt has to wait. */
export interface Snoozes {
  wakeAfter(wakeUp: WakeUp, afterMs: number): void;
}

/** Turns that are waited for at once; those beyond it are found in the read model when they are due. */
const MAX_SNOOZES = 1000;

/** @param signal ends the waiting: others find the turns then. */
export function createSnoozes(ctx: Pick<WorkerContext, 'bus' | 'engine' | 'log'>, signal: AbortSignal): Snoozes {
  const waiting = new Set<string>();
  return {
    wakeAfter(wakeUp, afterMs) {
      const { turnId } = wakeUp;
      if (waiting.has(turnId) || waiting.size >= MAX_SNOOZES) return;
      waiting.add(turnId);
      ctx.engine.clock
        .sleep(afterMs, signal)
        .then(() => (signal.aborted ? undefined : ctx.bus.wake(wakeUp)))
        .catch((error: unknown) => ctx.log.warn({ err: error }, 'a wake-up was lost: the sweeper finds its turn'))
        .finally(() => waiting.delete(turnId));
    },
  };
}
