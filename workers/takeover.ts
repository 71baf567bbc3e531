import { v5 as uuidv5 } from 'uuid';
import { abandonTurn } from '../commands/abandonTurn.ts';
import { Refusal } from '../domain/refusal.ts';
import type { ClaimRow } from '../projections/claims.ts';
import { causeAt } from './causeOf.ts';
import { holderOf } from './places.ts';
import { askedBy, type WorkerContext } from './worker.ts';

/** What was last seen of an attempt's lease, and when on our own monotonic clock: wall clocks are never compared. */
interface Seen {
  readonly renewals: number;
  readonly atMs: number;
}

/** Most claims looked at in one sweep. */
const MAX_CLAIMS = 1000;

/** Attempts of its own that a worker ends at once when it is started again. */
const ENDED_AT_ONCE = 8;

/** Finds attempts whose workers give no sign of life, and ends them. */
export interface Watch {
  look(): Promise<number>;
}

/** @returns a watch that remembers between its looks. */
export function createWatch(ctx: WorkerContext, isRunning: (turnId: string) => boolean): Watch {
  let seen = new Map<string, Seen>();
  return {
    async look() {
      const claims = (await ctx.turns.claimedOpen({ limit: MAX_CLAIMS })).filter(
        (claim) => !(isRunning(claim.turnId) && claim.incarnation === ctx.incarnation),
      );
      const leases = new Map(
        (await ctx.leases.list(claims.map((claim) => claim.turnId))).map((lease) => [lease.turnId, lease]),
      );
      const now = ctx.engine.clock.monotonic();
      const next = new Map<string, Seen>();
      let taken = 0;
      for (const claim of claims) {
        const lease = leases.get(claim.turnId);
        const renewals = lease?.fence === claim.fence ? lease.renewals : 0;
        const before = seen.get(claim.key);
        const alive = before?.renewals === renewals ? before : { renewals, atMs: now };
        next.set(claim.key, alive);
        if (now - alive.atMs >= claim.leaseMs && (await endAttempt(ctx, claim, 'its worker gave no sign of life')))
          taken += 1;
      }
      seen = next;
      if (taken > 0) ctx.telemetry.count('turn_takeovers_total', {}, taken);
      return taken;
    },
  };
}

/** A worker that was started again ends what its last incarnation held, at once. */
export async function endOwnOldClaims(ctx: WorkerContext): Promise<number> {
  const old = (await ctx.turns.claimedBy(ctx.worker)).filter(({ incarnation }) => incarnation !== ctx.incarnation);
  let ended = 0;
  const endNext = async (): Promise<void> => {
    for (let claim = old.shift(); claim !== undefined; claim = old.shift())
      if (await endAttempt(ctx, claim, 'its worker was started again')) ended += 1;
  };
  await Promise.all(Array.from({ length: ENDED_AT_ONCE }, endNext));
  return ended;
}

/** A dead attempt is charged its reservation: how much it really used nobody knows. */
async function endAttempt(ctx: WorkerContext, claim: ClaimRow, detail: string): Promise<boolean> {
  const { turnId, attempt, worker, incarnation, discussionId, reserved } = claim;
  const usage = { inputTokens: reserved, outputTokens: 0, source: 'reserved' as const };
  const body = {
    turnId,
    attempt,
    worker,
    incarnation,
    reason: 'lease_lost' as const,
    detail,
    usage,
    retryable: true,
    retryAfterMs: 0,
    halveWindow: false,
  };
  try {
    // Not the id under which the worker itself would abandon: should it wake late, the log would take its other account of
    // the same end for a repetition, and its cached state would differ from the log.
    const commandId = uuidv5(`lost:${attempt}:${worker}:${incarnation}`, turnId);
    const cause = await causeAt(ctx, discussionId, claim.fence);
    const outcome = await abandonTurn(ctx.engine, discussionId, body, askedBy(ctx, commandId, cause));
    ctx.log.warn({ discussionId, turnId, attempt, worker }, `attempt taken over: ${detail}`);
    await ctx.leases.release([turnId]);
    if (ctx.settings.limits.size > 0) await ctx.slots.free([holderOf(turnId, incarnation)]);
    const { state } = outcome;
    if (state.status === 'open' && state.turn?.turnId === turnId)
      await ctx.bus.wake({ kind: 'turn', project: state.projectId, discussionId, turnId, revision: outcome.revision });
    return true;
  } catch (error) {
    // It has ended by itself meanwhile.
    if (error instanceof Refusal && (error.code === 'conflict' || !error.retryable)) return false;
    throw error;
  }
}
