import type { WakeUp } from '../domain/ports.ts';
import { createLanes, type First, type Lanes } from './lanes.ts';
import { keepLooking } from './looking.ts';
import { createPicking, type Picking } from './picking.ts';
import type { Running } from './settle.ts';
import { createSnoozes } from './snoozes.ts';
import { runTurn, type TurnEnd, type TurnSources } from './turn.ts';
import type { WorkerContext } from './worker.ts';

/** The attempts of this process. */
export interface Pool extends Pick<Picking, 'claimed'> {
  /** What runs now, by turn. */
  readonly running: ReadonlyMap<string, Running>;
  /** Stops an attempt whose turn was ended from outside; what it has written so far is kept. */
  stop(turnId: string, reason: 'cancelled' | 'released'): void;
  /** Looks into the read model now and then, until it is told to take nothing new: for what no wake-up has reached. */
  keepLooking(): Promise<void>;
  /** Resolves when nothing runs any more. */
  idle(): Promise<void>;
}

/** Turns in a row that a lane could not claim before it ends: many that cannot be run are no reason to turn in a circle. */
const MAX_MISSES = 50;

/**
 * Runs turns in as many lanes as may run at once. A lane begins with a wake-up, or with a turn that no wake-up has
 * reached. While there is room the named turn runs at once; the last lane takes the best waiting turn instead. After an
 * answer a lane goes on with the turn that the answer led to: its state is at hand, and no wake-up has to travel. It takes
 * the best waiting turn instead when all lanes were in use, when its turn was gone or its model full, and when it has freed
 * a place at a model, and then tells others of its own: so no wake-up has to be put back, and each stands for some turn that
 * waits. No wake-up is taken while all lanes are in use: it stays for other workers.
 */
export function startPool(ctx: WorkerContext, sources: TurnSources, signal: AbortSignal): Pool {
  const running = new Map<string, Running>();
  const picking = createPicking(ctx);
  const snoozes = createSnoozes(ctx, signal);

  /** @returns how it ended, and whether it was claimed; null when it could not be run. */
  const run = async (wakeUp: WakeUp, ack: () => void): Promise<{ end: TurnEnd; claimed: boolean } | null> => {
    const { turnId } = wakeUp;
    let end: TurnEnd | null = null;
    try {
      end = await runTurn(ctx, sources, wakeUp, (claimed) => {
        running.set(turnId, claimed);
        ctx.telemetry.set('turns_running', running.size);
        ack();
      });
    } catch (error) {
      ctx.log.error({ err: error, turnId }, 'a turn could not be run: the sweeper will try it again');
    }
    const claimed = running.delete(turnId);
    ctx.telemetry.set('turns_running', running.size);
    // Whoever came too late must not end what readers see of the attempt that runs.
    if (claimed) ctx.bus.endTurn(turnId);
    if (await sources.places.free(turnId)) picking.retry();
    picking.left(turnId, end);
    if (end?.kind === 'snooze') snoozes.wakeAfter(wakeUp, end.afterMs);
    return end === null ? null : { end, claimed };
  };
  const lane = async (first: First, ack: () => void) => {
    let turn = await first;
    for (let misses = 0; turn !== null && !signal.aborted;) {
      const ran = await run(turn, ack);
      // Not acknowledged: it comes again, here or elsewhere.
      if (ran === null) return;
      misses = ran.claimed ? 0 : misses + 1;
      turn = misses < MAX_MISSES ? await goOn(ctx, { lanes, picking, signal }, ran.end) : null;
    }
    if (turn === null) ack();
  };
  const lanes = createLanes(ctx.settings.concurrency, ctx.engine.clock, lane);
  takeWakeUps(ctx, lanes, picking, signal).catch((error: unknown) =>
    ctx.log.error({ err: error }, 'no wake-ups come any more'),
  );
  return {
    running,
    claimed: (turnId, attempt) => picking.claimed(turnId, attempt),
    stop(turnId, reason) {
      running.get(turnId)?.abort.abort(reason);
    },
    keepLooking: () => keepLooking(ctx, lanes, picking, signal),
    idle: () => lanes.idle(),
  };
}

/** The turn that a lane goes on with. */
async function goOn(
  { bus, settings, log }: WorkerContext,
  { lanes, picking, signal }: { lanes: Lanes; picking: Picking; signal: AbortSignal },
  end: TurnEnd,
): Promise<WakeUp | null> {
  const next = end.kind === 'done' ? end.next : null;
  const chooses = lanes.isFull() || end.kind === 'gone' || settings.limits.size > 0;
  let turn: WakeUp | null = null;
  if (chooses && !signal.aborted) turn = await picking.best(next);
  else if (next !== null && !signal.aborted) return picking.take(next.turnId) ? next : null;
  if (next !== null && turn?.turnId !== next.turnId)
    await bus.wake(next).catch((error: unknown) => log.warn({ err: error }, 'a wake-up was lost'));
  return turn;
}

async function takeWakeUps(ctx: WorkerContext, lanes: Lanes, picking: Picking, signal: AbortSignal): Promise<void> {
  for await (const { wakeUp, ack } of ctx.bus.wakeUps({ signal })) {
    // Lanes that were opened by a look may have filled the room meanwhile.
    if (!(await lanes.hasRoom(signal))) return;
    const atOnce = !lanes.isLast() && picking.take(wakeUp.turnId);
    lanes.open(atOnce ? wakeUp : picking.best(wakeUp), ack);
    if (!(await lanes.hasRoom(signal))) return;
  }
}
