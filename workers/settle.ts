import { v5 as uuidv5 } from 'uuid';
import type { Attempt } from '../domain/discussion/commands.ts';
import type { OpenTurn } from '../domain/discussion/state.ts';
import { Refusal } from '../domain/refusal.ts';
import { askedBy, type WorkerContext } from './worker.ts';

/** An attempt under way in this process. */
export interface Running extends Attempt {
  readonly discussionId: string;
  readonly project: string;
  /** Revision of its claim. */
  readonly fence: number;
  readonly abort: AbortController;
}

/** What the fence compares. */
export function attemptOf({ turnId, attempt, worker, incarnation }: Running): Attempt {
  return { turnId, attempt, worker, incarnation };
}

/**
 * Brings a result into the log, however long the log is away.
 * @returns false for one that came too late: the fence refused it.
 * @throws Refusal when the log will never take it; its turn is then taken over like that of a dead worker.
 */
export async function settle(
  ctx: WorkerContext,
  running: Running,
  what: string,
  turn: OpenTurn,
  append: (asked: ReturnType<typeof askedBy>) => Promise<unknown>,
): Promise<boolean> {
  const asked = askedBy(
    ctx,
    uuidv5(`${what}:${running.attempt}:${running.worker}:${running.incarnation}`, running.turnId),
    turn.cause,
  );
  for (let [tries, pauseMs] = [1, 200]; ; tries += 1, pauseMs = Math.min(pauseMs * 2, 5000)) {
    try {
      // From the second time on it may be a repetition, whose first form stands in the log.
      await append({ ...asked, keyed: tries > 1 });
      return true;
    } catch (error) {
      if (error instanceof Refusal && error.code === 'conflict' && !error.retryable) {
        ctx.telemetry.count('turn_fenced_total');
        ctx.log.info(
          { turnId: running.turnId, attempt: running.attempt },
          `a late result was refused: ${error.message}`,
        );
        return false;
      }
      // Tried for ever with its lease renewed, such a turn would never end.
      if (ctx.stopping.aborted || (error instanceof Refusal && !error.retryable)) throw error;
      ctx.log.warn({ turnId: running.turnId, err: error }, 'the log did not take a result: trying again');
      await ctx.engine.clock.sleep(pauseMs, ctx.stopping);
    }
  }
}
