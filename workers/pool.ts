import { LRUCache } from 'lru-cache';
import type { WakeUp } from '../domain/ports.ts';
import { createAgentProfiles } from './agentProfiles.ts';
import type { Running } from './settle.ts';
import type { Transcripts } from './transcripts.ts';
import { runTurn, type TurnEnd } from './turn.ts';
import type { WorkerContext } from './worker.ts';

/** The attempts of this process. */
export interface Pool {
  /** What runs now, by turn. */
  readonly running: ReadonlyMap<string, Running>;
  /** Stops an attempt whose turn was ended from outside; what it has written so far is kept. */
  stop(turnId: string, reason: 'cancelled' | 'released'): void;
  /** Resolves when nothing runs any more. */
  idle(): Promise<void>;
}

/** Turns kept in mind that ended here: far more than end while a read model catches up. */
const MAX_ENDED = 1000;

/**
 * Takes wake-ups while there is room, and runs a turn for each. A wake-up only says that there is work: when several wait,
 * the best waiting turn of the read model goes first and the named one is put back.
 */
export function startPool(ctx: WorkerContext, transcripts: Transcripts, signal: AbortSignal): Pool {
  const running = new Map<string, Running>();
  const sources = { transcripts, profiles: createAgentProfiles(ctx.engine) };
  const tasks = new Set<Promise<void>>();
  // From the wake-up on, not from the claim: a second task for a turn that is only being prepared would, when it finds
  // the turn taken, end the lease and the deltas of the first one.
  const busy = new Set<string>();
  const ended = new LRUCache<string, true>({ max: MAX_ENDED });
  const isTaken = (turnId: string) => busy.has(turnId) || ended.has(turnId);
  let free: () => void = () => undefined;
  const work = async (wakeUp: WakeUp, ack: () => void) => {
    try {
      const end = await runTurn(ctx, sources, wakeUp, (claimed) => {
        running.set(claimed.turnId, claimed);
        ctx.telemetry.set('turns_running', running.size);
        ack();
      });
      if (end.kind === 'done') ended.set(wakeUp.turnId, true);
      later(ctx, wakeUp, end, signal);
    } catch (error) {
      ctx.log.error({ err: error, turnId: wakeUp.turnId }, 'a turn could not be run: the sweeper will try it again');
    } finally {
      ack();
      busy.delete(wakeUp.turnId);
      running.delete(wakeUp.turnId);
      ctx.bus.endTurn(wakeUp.turnId);
      ctx.telemetry.set('turns_running', running.size);
    }
  };
  const loop = async () => {
    for await (const { wakeUp, ack } of ctx.bus.wakeUps({ signal })) {
      const contended = tasks.size >= ctx.settings.concurrency - 1;
      const chosen = contended ? await best(ctx, wakeUp, busy.size + 1, isTaken) : wakeUp;
      if (signal.aborted) return;
      if (busy.has(chosen.turnId)) {
        ack();
        continue;
      }
      busy.add(chosen.turnId);
      const task: Promise<void> = work(chosen, ack).finally(() => {
        tasks.delete(task);
        free();
      });
      tasks.add(task);
      while (tasks.size >= ctx.settings.concurrency && !signal.aborted)
        await new Promise<void>((resolve) => (free = resolve));
    }
  };
  loop().catch((error: unknown) => ctx.log.error({ err: error }, 'no wake-ups come any more'));
  return {
    running,
    stop(turnId, reason) {
      running.get(turnId)?.abort.abort(reason);
    },
    async idle() {
      while (tasks.size > 0) await Promise.race(tasks);
    },
  };
}

/**
 * The turn to run instead, when another one waits that should go first; the named one then waits on. A read model that is
 * behind still lists turns that run or have ended here, and one that cannot be asked must not end the worker: the named one runs then.
 */
async function best(
  ctx: WorkerContext,
  named: WakeUp,
  limit: number,
  isTaken: (turnId: string) => boolean,
): Promise<WakeUp> {
  const waiting = await ctx.turns.waiting({ limit, now: ctx.engine.clock.now() }).catch(() => []);
  const first = waiting.find(({ turnId }) => !isTaken(turnId));
  if (first === undefined || first.turnId === named.turnId) return named;
  await ctx.bus.wake(named);
  return { kind: 'turn', project: first.project, discussionId: first.discussionId, turnId: first.turnId, revision: 0 };
}

function later(ctx: WorkerContext, wakeUp: WakeUp, end: TurnEnd, signal: AbortSignal): void {
  if (end.kind !== 'snooze') return;
  ctx.engine.clock
    .sleep(end.afterMs, signal)
    .then(() => (signal.aborted ? undefined : ctx.bus.wake(wakeUp)))
    .catch((error: unknown) => ctx.log.warn({ err: error }, 'a wake-up was lost: the sweeper finds its turn'));
}
