import type { StopReason } from '../model.ts';
import type { DiscussionCommand } from './commands.ts';
import type { DiscussionEventData } from './events.ts';
import type { OpenTurn } from './state.ts';

/** Failures after which a turn fails; as many as the agent has models when they are more. */
const MAX_FAILURES = 3;
/** Attempts in all, those of lost workers included. */
const MAX_ATTEMPTS = 20;
/** Pause before a fall-back is asked. Not 0: that wakes every process, for an attempt that nobody waits for any more. */
const MOVE_ON_MS = 10;

/** Not the fault of the model that was asked: another one would not do better, or must not be asked. */
const keepsModel: readonly StopReason[] = ['lease_lost', 'cancelled', 'refused', 'budget_exhausted'];

type Abandon = Pick<
  Extract<DiscussionCommand, { kind: 'abandonTurn' }>,
  'reason' | 'retryable' | 'retryAfterMs' | 'halveWindow'
>;
type Next = Pick<
  DiscussionEventData<'TurnAttemptAbandoned'>,
  'retryAfterMs' | 'windowDivisor' | 'nextModel' | 'modelSpent'
>;

/**
 * What follows an attempt that ended without an answer; null when the turn fails.
 *
 * A failure (`error`, `time_out`) moves on to the next model of the agent's chain at once; after the last one the first is
 * asked again, after the usual pause. A model that failed for good (not retryable: unknown, bad key, refused to be
 * described) is spent: it is not asked again at this turn. Invalid output and a prompt that was too long are tried again
 * with the same model, another seed or half the window, while enough failures are left for each of the models after it.
 * A refused content, a cancelled call and a lost worker do not move on.
 *
 * The turn fails after as many failures as the chain has models, at least three, or when all models are spent. So every
 * model is reached before a turn fails, and an agent with one model has three failures.
 */
export function nextAttempt(turn: OpenTurn, ended: Abandon): Next | null {
  const { index, length } = turn.claim?.chain ?? { index: 0, length: 1 };
  const failures = turn.failures + (ended.reason === 'lease_lost' ? 0 : 1);
  const left = Math.max(MAX_FAILURES, length) - failures;
  if (left <= 0 || turn.attempts >= MAX_ATTEMPTS) return null;
  const { retryable, retryAfterMs } = ended;
  const halved = ended.halveWindow ? { windowDivisor: turn.windowDivisor * 2 } : {};
  if (keepsModel.includes(ended.reason)) return retryable ? { retryAfterMs, ...halved } : null;
  const spent = retryable ? turn.spentModels : [...turn.spentModels, index];
  const models = Array.from({ length }, (_, i) => (index + 1 + i) % length).filter((each) => !spent.includes(each));
  const mayStay = retryable && (ended.reason === 'invalid_output' || ended.halveWindow);
  const stays = mayStay && left > models.filter((each) => each > index).length;
  const next = stays ? index : models[0];
  if (next === undefined) return null;
  return {
    retryAfterMs: next > index ? MOVE_ON_MS : retryAfterMs,
    // Another model has another context: its prompt starts whole.
    ...(next === index ? halved : turn.windowDivisor === 1 ? {} : { windowDivisor: 1 }),
    ...(length === 1 ? {} : { nextModel: next }),
    ...(retryable ? {} : { modelSpent: true as const }),
  };
}
