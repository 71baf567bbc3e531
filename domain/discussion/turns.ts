import { Refusal } from '../refusal.ts';
import type { Attempt, DiscussionCommand } from './commands.ts';
import type { Deciding } from './decide.ts';
import type { DiscussionEvent, Why } from './events.ts';
import { nextAttempt } from './nextAttempt.ts';
import { deadlinePassed, limitReached, stopPhraseEnd } from './limits.ts';
import { present, reservedTokens, type Claim, type ExistingDiscussion, type OpenTurn } from './state.ts';

/** How long an agent that runs elsewhere has for its answer. */
export const EXTERNAL_ANSWER_MS = 10 * 60_000;

type TurnCommand = Extract<
  DiscussionCommand,
  { kind: 'requestTurn' | 'retryTurn' | 'cancelTurn' | 'skipTurn' | 'claimTurn' | 'completeTurn' | 'abandonTurn' }
>;

/** @throws Refusal as `decideDiscussion`. */
export function decideTurn(state: ExistingDiscussion, command: TurnCommand, ctx: Deciding): DiscussionEvent[] {
  switch (command.kind) {
    case 'requestTurn':
      return request(state, command.participantId, ctx);
    case 'retryTurn':
      return retry(state, command.turnId, ctx);
    case 'cancelTurn':
      return [{ type: 'TurnCancelled', data: { turnId: openTurn(state, command.turnId).turnId, reason: 'requested' } }];
    case 'skipTurn':
      return skip(openTurn(state, command.turnId), ctx);
    case 'claimTurn':
      return claim(state, command, ctx);
    case 'completeTurn':
      return complete(state, command, ctx);
    case 'abandonTurn':
      return abandon(state, command);
  }
}

function openTurn(state: ExistingDiscussion, turnId: string): OpenTurn {
  if (state.turn?.turnId === turnId) return state.turn;
  throw new Refusal('conflict', 'this turn is not open; read the discussion for its current turn');
}

/** The request that gives a participant the floor. */
export function requestFor(state: ExistingDiscussion, participantId: string, why: Why, ctx: Deciding): DiscussionEvent {
  const speaker = state.participants.find((each) => each.participantId === participantId);
  const answeredBy = speaker?.kind === 'agent' ? 'model' : 'participant';
  const patience = speaker?.kind === 'external' ? EXTERNAL_ANSWER_MS : null;
  // A given null waits for ever, so it must not fall back to the default.
  const given = speaker?.answerWithinMs === undefined ? patience : speaker.answerWithinMs;
  const patient = answeredBy === 'model' ? {} : { answerWithinMs: given };
  const number = state.turnsRequested + 1;
  return {
    type: 'TurnRequested',
    data: { turnId: ctx.newId(`turn:${number}`), number, participantId, answeredBy, ...patient, why },
  };
}

/** At a reached limit there is no turn to give: `consequences` then adds the end. */
function request(state: ExistingDiscussion, participantId: string, ctx: Deciding): DiscussionEvent[] {
  if (state.status === 'paused') throw new Refusal('conflict', 'the discussion is paused: resume it first');
  if (state.turn !== null) throw new Refusal('conflict', `turn ${state.turn.number} is still open`);
  const candidates = present(state).map((each) => each.participantId);
  if (!candidates.includes(participantId)) throw new Refusal('not-found', 'there is no such participant');
  if (limitReached(state, ctx.nowMs) !== null) return [];
  const why = { policy: 'manual', policyVersion: 1, reason: 'was asked for', candidates };
  return [requestFor(state, participantId, why, ctx)];
}

function retry(state: ExistingDiscussion, turnId: string, ctx: Deciding): DiscussionEvent[] {
  if (state.turn !== null) throw new Refusal('conflict', `turn ${state.turn.number} is still open`);
  const last = state.lastEnded;
  if (last?.turnId !== turnId) throw new Refusal('conflict', 'only the last turn can be asked for again');
  if (last.outcome === 'completed') throw new Refusal('conflict', 'this turn was completed');
  const candidates = present(state).map((each) => each.participantId);
  if (!candidates.includes(last.participantId)) throw new Refusal('conflict', 'its participant has left');
  const why = {
    policy: 'retry',
    policyVersion: 1,
    reason: `again after turn ${turnId} was ${last.outcome}`,
    candidates,
  };
  const resumed: DiscussionEvent[] = state.status === 'paused' ? [{ type: 'DiscussionResumed', data: {} }] : [];
  if (limitReached(state, ctx.nowMs) !== null) return resumed;
  return [...resumed, requestFor(state, last.participantId, why, ctx)];
}

function skip(turn: OpenTurn, ctx: Deciding): DiscussionEvent[] {
  if (turn.answerWithinMs === null || ctx.nowMs < turn.requestedAtMs + turn.answerWithinMs)
    throw new Refusal('conflict', 'the time to answer this turn has not passed');
  return [{ type: 'TurnSkipped', data: { turnId: turn.turnId, reason: 'deadline' } }];
}

function claim(
  state: ExistingDiscussion,
  command: Extract<TurnCommand, { kind: 'claimTurn' }>,
  ctx: Deciding,
): DiscussionEvent[] {
  if (state.status === 'paused') throw new Refusal('conflict', 'the discussion is paused');
  const turn = openTurn(state, command.turnId);
  if (turn.answeredBy !== 'model') throw new Refusal('conflict', 'this turn is answered by its participant');
  if (turn.claim !== null) throw new Refusal('conflict', `attempt ${turn.claim.attempt} of this turn is under way`);
  if (command.attempt !== turn.attempts + 1)
    throw new Refusal('conflict', `the next attempt of this turn is ${turn.attempts + 1}`);
  if (deadlinePassed(state, ctx.nowMs))
    return [
      { type: 'TurnCancelled', data: { turnId: turn.turnId, reason: 'concluded' } },
      { type: 'DiscussionConcluded', data: { reason: 'deadline' } },
    ];
  if (state.tokensUsed + reservedTokens(state) + command.reserved > state.limits.maxTokens) {
    // What cancelled attempts have set aside may come back once they are settled: nothing ends because of it.
    if (state.unsettled.length > 0)
      throw new Refusal('conflict', 'the budget is held by attempts that are being settled', { retryable: true });
    return [
      { type: 'TurnCancelled', data: { turnId: turn.turnId, reason: 'budget_exhausted' } },
      { type: 'DiscussionConcluded', data: { reason: 'max-tokens' } },
    ];
  }
  const { kind: _kind, ...data } = command;
  return [{ type: 'TurnClaimed', data }];
}

/** Only the current attempt may end a turn: a zombie that wakes late is refused here. */
function fenced(claimed: Claim | null | undefined, by: Attempt): Claim {
  const same =
    claimed?.turnId === by.turnId &&
    claimed.attempt === by.attempt &&
    claimed.worker === by.worker &&
    claimed.incarnation === by.incarnation;
  if (!same) throw new Refusal('conflict', 'this attempt does not hold the turn any more');
  return claimed;
}

function complete(
  state: ExistingDiscussion,
  command: Extract<TurnCommand, { kind: 'completeTurn' }>,
  ctx: Deciding,
): DiscussionEvent[] {
  const held = fenced(state.turn?.claim, command);
  const { turnId, attempt, content, usage, finishReason, timing } = command;
  const completed: DiscussionEvent = {
    type: 'TurnCompleted',
    data: {
      turnId,
      attempt,
      messageId: ctx.newId('message'),
      participantId: held.participantId,
      content,
      model: held.prompt.model,
      usage,
      finishReason,
      timing,
    },
  };
  return [completed, ...stopPhraseEnd(state, content)];
}

function abandon(state: ExistingDiscussion, command: Extract<TurnCommand, { kind: 'abandonTurn' }>): DiscussionEvent[] {
  const turn = state.turn?.turnId === command.turnId ? state.turn : null;
  const held =
    turn === null
      ? state.unsettled.find((each) => each.turnId === command.turnId && each.attempt === command.attempt)
      : turn.claim;
  fenced(held, command);
  const next = turn === null ? null : nextAttempt(turn, command);
  const { turnId, attempt, reason, detail, partial, usage } = command;
  const abandoned: DiscussionEvent = {
    type: 'TurnAttemptAbandoned',
    data: {
      turnId,
      attempt,
      reason,
      detail,
      ...(partial === undefined ? {} : { partial }),
      usage,
      retryAfterMs: null,
      ...next,
    },
  };
  if (next !== null || turn === null) return [abandoned];
  return [abandoned, { type: 'TurnFailed', data: { turnId, attempts: attempt, reason, detail } }];
}
