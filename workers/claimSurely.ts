import { claimTurn, type ClaimTurn } from '../commands/claimTurn.ts';
import type { Asked } from '../commands/dispatch.ts';
import type { DiscussionOutcome } from '../commands/discussionCommand.ts';
import { Refusal } from '../domain/refusal.ts';
import type { WorkerContext } from './worker.ts';

const AGAIN_MS = 200;

/**
 * Asks again while the log is away for a moment: a claim whose answer was lost may stand in the log, and its turn would wait
 * for a takeover while its worker is well. Ends before anybody could have taken it over. @throws Refusal as `claimTurn`.
 */
export async function claimSurely(
  ctx: WorkerContext,
  discussionId: string,
  command: ClaimTurn,
  revision: number,
  asked: Asked,
): Promise<DiscussionOutcome> {
  const { clock } = ctx.engine;
  const untilMs = clock.monotonic() + ctx.settings.leaseMs / 2;
  for (let keyed = false; ; keyed = true) {
    try {
      return await claimTurn(ctx.engine, discussionId, command, revision, { ...asked, keyed });
    } catch (error) {
      const away = error instanceof Refusal && error.code === 'unavailable' && error.retryable;
      if (!away || ctx.stopping.aborted || clock.monotonic() >= untilMs) throw error;
      await clock.sleep(AGAIN_MS, ctx.stopping);
    }
  }
}
