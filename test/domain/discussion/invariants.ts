/** What must hold of any discussion, told from its events alone (design: I3, I4, I6) and from its state. */
import * as assert from 'uvu/assert';
import { chooseSpeaker } from '../../../domain/discussion/policies.ts';
import type { DiscussionEvent, DiscussionEventData } from '../../../domain/discussion/events.ts';
import { evolveDiscussion } from '../../../domain/discussion/evolve.ts';
import { limitReached } from '../../../domain/discussion/limits.ts';
import { reservedTokens, type Discussion } from '../../../domain/discussion/state.ts';
import type { LoggedEvent, World } from './world.ts';

/** The log read by somebody who knows nothing of the decider. */
interface Audit {
  turns: number;
  open: DiscussionEventData<'TurnRequested'> | null;
  attempts: number;
  /** Attempt of the open turn that is under way. */
  current: number | null;
  /** Attempts begun whose tokens are not counted yet: `turnId/attempt` → reserved. */
  outstanding: Map<string, number>;
  completed: Set<string>;
  messages: Set<string>;
  tokens: number;
  /** Tokens used beyond what was set aside for the attempt. */
  excess: number;
  maxTokens: number;
  concluded: boolean;
}

type Forked = DiscussionEventData<'DiscussionForked'>;

/** @throws an assertion naming the first event that breaks an invariant. */
export function audited(log: readonly LoggedEvent[]): Audit {
  const audit: Audit = {
    turns: 0,
    open: null,
    attempts: 0,
    current: null,
    outstanding: new Map(),
    completed: new Set(),
    messages: new Set(),
    tokens: 0,
    excess: 0,
    maxTokens: 0,
    concluded: false,
  };
  for (const [index, { event }] of log.entries()) {
    const at = `event ${index}, ${event.type}`;
    if (event.type === 'DiscussionForked') auditFork(audit, event.data, index);
    assert.ok(!audit.concluded || event.type === 'TurnAttemptAbandoned', `${at}: nothing follows the end`);
    auditEvent(audit, event, at);
  }
  return audit;
}

function auditEvent(audit: Audit, event: DiscussionEvent, at: string): void {
  switch (event.type) {
    case 'DiscussionForked':
      audit.maxTokens = event.data.limits.maxTokens;
      break;
    case 'DiscussionOpened':
    case 'LimitsChanged':
      audit.maxTokens = Math.max(audit.maxTokens, event.data.limits.maxTokens);
      break;
    case 'MessagePosted':
      addOnce(audit.messages, event.data.messageId, at);
      break;
    case 'DiscussionConcluded':
      assert.is(audit.open, null, `${at}: no turn is left open`);
      audit.concluded = true;
      break;
    case 'TurnRequested':
      assert.is(audit.open, null, `${at}: the turn before has ended`);
      assert.is(event.data.number, audit.turns + 1, `${at}: numbered without gaps`);
      Object.assign(audit, { turns: event.data.number, open: event.data, attempts: 0, current: null });
      break;
    case 'TurnAttemptAbandoned':
      settle(audit, event.data, at);
      if (audit.open?.turnId === event.data.turnId) audit.current = null;
      break;
    case 'TurnClaimed':
    case 'TurnCompleted':
    case 'TurnFailed':
    case 'TurnSkipped':
    case 'TurnCancelled':
      auditTurn(audit, event, at);
  }
}

/** What a fork says of the history it shares is what that history says; attempts under way are left to the parent. */
function auditFork(audit: Audit, data: Forked, index: number): void {
  const { turnsRequested, turnsCompleted, messages, inputTokens, outputTokens } = data;
  assert.equal(
    [turnsRequested, turnsCompleted, messages, inputTokens + outputTokens],
    [audit.turns, audit.completed.size, audit.messages.size, audit.tokens],
    `event ${index}: what the fork says of its prefix`,
  );
  assert.equal([data.turn?.turnId, data.turn?.attempts], [audit.open?.turnId, audit.open ? audit.attempts : undefined]);
  assert.is(data.offset, index);
  audit.outstanding.clear();
  Object.assign(audit, { current: null, concluded: false });
}

type OpenTurnEvent = Extract<
  DiscussionEvent,
  { type: `Turn${'Claimed' | 'Completed' | 'Failed' | 'Skipped' | 'Cancelled'}` }
>;

function auditTurn(audit: Audit, event: OpenTurnEvent, at: string): void {
  assert.is(event.data.turnId, audit.open?.turnId, `${at}: of the open turn`);
  if (event.type === 'TurnClaimed') {
    const { turnId, attempt, reserved } = event.data;
    assert.is(audit.open?.answeredBy, 'model', at);
    assert.is(audit.current, null, `${at}: one attempt at a time`);
    assert.is(attempt, audit.attempts + 1, `${at}: attempts numbered without gaps`);
    Object.assign(audit, { attempts: attempt, current: attempt });
    audit.outstanding.set(`${turnId}/${attempt}`, reserved);
    return;
  }
  if (event.type === 'TurnCompleted') {
    addOnce(audit.completed, event.data.turnId, at);
    addOnce(audit.messages, event.data.messageId, at);
    assert.is(event.data.participantId, audit.open?.participantId, at);
    if (audit.open?.answeredBy === 'model') {
      assert.is(event.data.attempt, audit.current, `${at}: only the current attempt ends a turn`);
      settle(audit, event.data, at);
    }
  }
  if (event.type === 'TurnFailed' || event.type === 'TurnSkipped') assert.is(audit.current, null, at);
  Object.assign(audit, { open: null, current: null });
}

function settle(
  audit: Audit,
  { turnId, attempt, usage }: Pick<DiscussionEventData<'TurnAttemptAbandoned'>, 'turnId' | 'attempt' | 'usage'>,
  at: string,
): void {
  const reserved = audit.outstanding.get(`${turnId}/${attempt}`);
  if (reserved === undefined) throw new Error(`${at}: tokens of an attempt counted that is not under way`);
  audit.outstanding.delete(`${turnId}/${attempt}`);
  const used = usage.inputTokens + usage.outputTokens;
  audit.tokens += used;
  audit.excess += Math.max(0, used - reserved);
}

function addOnce(set: Set<string>, value: string, at: string): void {
  assert.not.ok(set.has(value), `${at}: ${value} for the second time`);
  set.add(value);
}

/** Never an open discussion that could go on and does not. */
export function checkLiveness({ state, nowMs }: World): void {
  if (state.status !== 'open' || state.turn !== null) return;
  assert.is(limitReached(state, nowMs), null, 'a reached limit ends an open discussion');
  assert.is(chooseSpeaker(state), null, 'somebody could be given the floor');
}

/** Used and set aside stay within the budget, but for what calls took beyond what was set aside for them. */
export function checkBudget({ state }: World, { maxTokens, excess }: Audit): void {
  if (state.status === 'none') return;
  assert.ok(state.tokensUsed + reservedTokens(state) <= maxTokens + excess, 'within the budget');
}

/** State and log say the same, and a snapshot taken anywhere continues to the same state. */
export function checkAgainstLog(world: World, cut: number): Audit {
  const { state, log } = world;
  if (state.status === 'none') throw new Error('never opened');
  const audit = audited(log);
  assert.is(state.tokensUsed, audit.tokens, 'tokens counted exactly once');
  assert.is(
    reservedTokens(state),
    [...audit.outstanding.values()].reduce((sum, each) => sum + each, 0),
  );
  checkBudget(world, audit);
  assert.equal([state.turnsRequested, state.turnsCompleted], [audit.turns, audit.completed.size]);
  assert.is(state.turn?.turnId, audit.open?.turnId);
  assert.is(state.messages, audit.messages.size);
  const middle = folded({ status: 'none' }, log, 0, cut);
  assert.equal(JSON.parse(JSON.stringify(middle)), middle, 'a snapshot loses nothing');
  const stored = JSON.parse(JSON.stringify(middle)) as Discussion;
  assert.equal(folded(stored, log, cut, log.length), state, 'the fold of the log is what the decider saw');
  return audit;
}

function folded(from: Discussion, log: readonly LoggedEvent[], start: number, end: number): Discussion {
  return log
    .slice(start, end)
    .reduce((state, { event, revision, atMs }) => evolveDiscussion(state, event, { revision, atMs }), from);
}
