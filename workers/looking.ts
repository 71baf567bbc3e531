import type { Lanes } from './lanes.ts';
import type { Picking } from './picking.ts';
import type { WorkerContext } from './worker.ts';

/** How long a turn that was passed over waits at most for a place that was freed elsewhere and not taken there. */
const PASSED_OVER_MS = 500;
/** This part of the time between sweeps a wake-up may take: a turn that waits longer while there is room was forgotten. */
const LATE = 0.2;

/**
 * Looks into the read model for turns that no wake-up has reached, as often as sweepers do, and more often while turns wait
 * for a place at their model, until the signal aborts. The first look is for what waited before this process began.
 */
export async function keepLooking(
  ctx: Pick<WorkerContext, 'engine' | 'settings' | 'telemetry'>,
  lanes: Lanes,
  picking: Picking,
  signal: AbortSignal,
): Promise<void> {
  const { clock } = ctx.engine;
  const { limits, sweepMs } = ctx.settings;
  const stepMs = limits.size === 0 ? sweepMs : Math.min(sweepMs, PASSED_OVER_MS);
  const lateMs = sweepMs * LATE;
  await look(lanes, picking, clock.now(), signal);
  for (let sinceSweepMs = stepMs; !signal.aborted; sinceSweepMs += stepMs) {
    await clock.sleep(stepMs, signal);
    if (picking.passing()) {
      picking.retry();
      await look(lanes, picking, clock.now(), signal);
    } else if (sinceSweepMs >= sweepMs) {
      sinceSweepMs = 0;
      const now = clock.monotonic();
      const hadRoom = !lanes.isFull() && now - lanes.roomSinceMs() >= lateMs;
      // Turns that were passed over wait for places, not for a wake-up.
      const forgotten = hadRoom && now - picking.passedOverMs() >= sweepMs;
      const found = await look(lanes, picking, clock.now() - lateMs, signal);
      if (forgotten && found > 0) ctx.telemetry.count('sweeper_recovered_total', { kind: 'turn' }, found);
    }
  }
}

/** Opens lanes for what waits, as far as there is room. @returns how many turns were found. */
async function look(lanes: Lanes, picking: Picking, dueBy: number, signal: AbortSignal): Promise<number> {
  for (let found = 0; ; found += 1) {
    if (signal.aborted || lanes.isFull()) return found;
    const turn = picking.best(null, dueBy);
    lanes.open(turn);
    if ((await turn) === null) return found;
  }
}
