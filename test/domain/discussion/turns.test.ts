import * as assert from 'uvu/assert';
import { defaultLimits } from '../../../domain/discussion/events.ts';
import { reservedTokens } from '../../../domain/discussion/state.ts';
import { abandon, agent, claim, complete, external, given, minute, type Scene } from '../given.ts';
import { person, spoken, startMs } from '../given.ts';
import { suite } from '../../harness.ts';

const test = suite('discussion: turns');

const manual = { policy: { kind: 'manual' } } as const;

function claimed(at: Scene): Scene {
  return at.when(claim(at));
}

/** The open turn failed for good. */
function failed(at: Scene): Scene {
  const held = claimed(at);
  return held.when(abandon(held, { retryable: false }));
}

test('claim: accepted; its revision is the fence; then refused to everybody', () => {
  const at = given();
  const held = claimed(at).gives('TurnClaimed');
  assert.is(held.turn().claim?.revision, at.log.length);
  assert.is(held.turn().attempts, 1);
  held.refuses(claim(at), 'conflict', /attempt 1 of this turn is under way/);
  held.refuses(claim(at, { worker: 'w2' }), 'conflict', /under way/);
});

test('claim: refused for another attempt, another turn, a turn of a person', () => {
  const at = given();
  at.refuses(claim(at, { attempt: 2 }), 'conflict', /next attempt of this turn is 1/);
  at.refuses(claim(at, { turnId: at.id('Ada') }), 'conflict', /not open/);
  const persons = given({ participants: [person('Eve')] });
  persons.refuses(claim(persons), 'conflict', /answered by its participant/);
});

test('claim: what is set aside counts, also for attempts not settled yet; beyond the budget the discussion ends', () => {
  const at = given({ limits: { ...defaultLimits, maxTokens: 1000 } });
  const held = claimed(at);
  const next = held.when({ kind: 'cancelTurn', turnId: at.turn().turnId }).gives('TurnCancelled', 'TurnRequested');
  const exact = next.when(claim(next, { reserved: 500 })).gives('TurnClaimed');
  assert.is(reservedTokens(exact.existing()), 1000);
  next.refuses(claim(next, { reserved: 501 }), 'conflict', /being settled/);
  const settled = next.when(abandon(held));
  const left = 1000 - settled.existing().tokensUsed;
  const over = settled.when(claim(settled, { reserved: left + 1 })).gives('TurnCancelled', 'DiscussionConcluded');
  assert.is(over.data('TurnCancelled').reason, 'budget_exhausted');
  assert.is(over.data('DiscussionConcluded').reason, 'max-tokens');
  assert.is(settled.existing().unsettled.length, 0);
});

test('complete: the message, the tokens and the next turn in one batch; repeated it is refused', () => {
  const at = claimed(given());
  const done = at.when(complete(at, 'Tea it is.')).gives('TurnCompleted', 'TurnRequested');
  const data = done.data('TurnCompleted');
  assert.equal(data.content, [{ type: 'text', text: 'Tea it is.' }]);
  assert.is(data.participantId, done.id('Ada'));
  assert.equal(data.model, { provider: 'offline', name: 'offline', digest: null });
  const { tokensUsed, turnsCompleted, messages, marks } = done.existing();
  assert.equal([tokensUsed, turnsCompleted, messages], [120, 1, 1]);
  assert.is(marks[0]?.revision, at.log.length);
  assert.is(done.turn().participantId, done.id('Bob'));
  done.refuses(complete(at), 'conflict', /does not hold/);
});

test('complete: only the current attempt of the same worker and start', () => {
  const at = claimed(given());
  for (const other of [{ worker: 'w2' }, { incarnation: 'i2' }, { attempt: 2 }, { turnId: at.id('Ada') }])
    at.refuses(complete(at, 'Me.', other), 'conflict', /does not hold the turn/);
  const lost = at.when(abandon(at, { reason: 'lease_lost', retryAfterMs: 0 }));
  const again = lost.when(claim(lost, { worker: 'w2' }));
  again.refuses(complete(at, 'Late.'), 'conflict', /does not hold the turn/);
  again.when(complete(again, 'In time.', { worker: 'w2' })).gives('TurnCompleted', 'TurnRequested');
});

test('complete: a stop phrase in whatever case ends the discussion', () => {
  const at = claimed(given({ limits: { ...defaultLimits, stopPhrases: ['Over and out', 'other'] } }));
  const done = at.when(complete(at, 'So: OVER AND OUT!')).gives('TurnCompleted', 'DiscussionConcluded');
  assert.equal(done.data('DiscussionConcluded'), { reason: 'stop-phrase', detail: 'Over and out' });
  at.when(complete(at, 'over and outside')).gives('TurnCompleted', 'DiscussionConcluded');
  at.when(complete(at, 'over, and out')).gives('TurnCompleted', 'TurnRequested');
});

test('abandon: the next attempt is due later; halving the window adds up', () => {
  const at = claimed(given());
  const once = at.when(abandon(at, { halveWindow: true })).gives('TurnAttemptAbandoned');
  assert.equal([once.turn().dueAtMs, once.turn().windowDivisor], [startMs + 1000, 2]);
  assert.is(once.turn().claim, null);
  once.refuses(abandon(at), 'conflict', /does not hold/);
  const held = claimed(once.later(1000));
  const twice = held.when(abandon(held, { halveWindow: true, partial: 'I th' }));
  assert.equal([twice.turn().windowDivisor, twice.turn().failures, twice.existing().tokensUsed], [4, 2, 206]);
  assert.is(twice.data('TurnAttemptAbandoned').partial, 'I th');
});

test('abandon: the third failure fails the turn, one that must not be repeated at once; a lost worker does not count', () => {
  let at = given();
  for (let i = 0; i < 5; i += 1) {
    const held = claimed(at);
    at = held.when(abandon(held, { reason: 'lease_lost' })).gives('TurnAttemptAbandoned');
  }
  assert.equal([at.turn().attempts, at.turn().failures], [5, 0]);
  for (let i = 0; i < 2; i += 1) {
    const held = claimed(at);
    at = held.when(abandon(held)).gives('TurnAttemptAbandoned');
  }
  const last = claimed(at);
  const over = last.when(abandon(last)).gives('TurnAttemptAbandoned', 'TurnFailed', 'TurnRequested');
  assert.is(over.data('TurnAttemptAbandoned').retryAfterMs, null);
  assert.equal([over.data('TurnFailed').attempts, over.turn().participantId], [8, over.id('Bob')]);
  failed(given()).gives('TurnAttemptAbandoned', 'TurnFailed', 'TurnRequested');
});

test('abandon: lost workers end a turn too, after 20 attempts', () => {
  let at = given();
  for (let i = 0; i < 20; i += 1) {
    const held = claimed(at);
    at = held.when(abandon(held, { reason: 'lease_lost' }));
  }
  at.gives('TurnAttemptAbandoned', 'TurnFailed', 'TurnRequested');
});

test('three failed turns in a row pause the discussion; an answer in between starts the count anew', () => {
  const twice = failed(failed(given()));
  const paused = failed(twice).gives('TurnAttemptAbandoned', 'TurnFailed', 'DiscussionPaused');
  assert.is(paused.data('DiscussionPaused').reason, 'failures');
  failed(spoken(twice)).gives('TurnAttemptAbandoned', 'TurnFailed', 'TurnRequested');
  const resumed = paused.when({ kind: 'resume' }).gives('DiscussionResumed', 'TurnRequested');
  failed(resumed).gives('TurnAttemptAbandoned', 'TurnFailed', 'TurnRequested');
});

test('cancel: the turn ends, its attempt is settled exactly once and cannot answer', () => {
  const at = claimed(given());
  const cancel = { kind: 'cancelTurn', turnId: at.turn().turnId } as const;
  const next = at.when(cancel).gives('TurnCancelled', 'TurnRequested');
  next.refuses(cancel, 'conflict', /not open/);
  next.refuses(complete(at), 'conflict', /does not hold/);
  next.refuses(abandon(at, { worker: 'w2' }), 'conflict', /does not hold/);
  const settled = next.when(abandon(at, { reason: 'cancelled', halveWindow: true })).gives('TurnAttemptAbandoned');
  assert.equal(settled.data('TurnAttemptAbandoned').retryAfterMs, null);
  assert.equal([settled.existing().tokensUsed, settled.existing().unsettled, settled.turn()], [103, [], next.turn()]);
  settled.refuses(abandon(at), 'conflict', /does not hold/);
});

test('settling an attempt can reach the token limit', () => {
  const at = given({ ...manual, limits: { ...defaultLimits, maxTokens: 600 } });
  const held = claimed(at.when({ kind: 'requestTurn', participantId: at.id('Ada') }));
  const free = held.when({ kind: 'cancelTurn', turnId: held.turn().turnId }).gives('TurnCancelled');
  const much = abandon(held, { usage: { inputTokens: 600, outputTokens: 0, source: 'reported' } });
  free.when(much).gives('TurnAttemptAbandoned', 'DiscussionConcluded');
});

test('request: for anybody present while nobody has the floor', () => {
  const at = given(manual);
  assert.is(at.existing().turn, null);
  const bob = { kind: 'requestTurn', participantId: at.id('Bob') } as const;
  const asked = at.when(bob).gives('TurnRequested');
  assert.equal([asked.data('TurnRequested').why.policy, asked.turn().participantId], ['manual', at.id('Bob')]);
  asked.refuses(bob, 'conflict', /turn 1 is still open/);
  at.when({ kind: 'leave', participantId: at.id('Bob') }).refuses(bob, 'not-found', /no such participant/);
  at.when({ kind: 'pause' }).refuses(bob, 'conflict', /resume it first/);
});

test('request and retry at a reached limit end the discussion instead', () => {
  const deadline = new Date(startMs + minute).toISOString();
  const at = given({ ...manual, limits: { ...defaultLimits, deadline } });
  at.later(minute)
    .when({ kind: 'requestTurn', participantId: at.id('Bob') })
    .gives('DiscussionConcluded');
  const paused = failed(failed(failed(spoken(given()))));
  const { turnId } = paused.existing().lastEnded ?? { turnId: '' };
  const lowered = paused.when({ kind: 'change', limits: { maxTurns: 1 } }).gives('LimitsChanged');
  const ended = lowered.when({ kind: 'retryTurn', turnId }).gives('DiscussionResumed', 'DiscussionConcluded');
  assert.is(ended.data('DiscussionConcluded').reason, 'max-turns');
});

test('retry: the last turn again, for the same participant, in a turn of its own; resumes a pause', () => {
  const at = given(manual);
  const asked = at.when({ kind: 'requestTurn', participantId: at.id('Bob') });
  const retry = { kind: 'retryTurn', turnId: asked.turn().turnId } as const;
  asked.refuses(retry, 'conflict', /turn 1 is still open/);
  const over = failed(asked).gives('TurnAttemptAbandoned', 'TurnFailed');
  const again = over.when(retry).gives('TurnRequested');
  assert.equal([again.turn().number, again.turn().participantId], [2, at.id('Bob')]);
  assert.equal(again.data('TurnRequested').why.policy, 'retry');
  again.refuses(retry, 'conflict', /still open/);
  over.when({ kind: 'pause' }).when(retry).gives('DiscussionResumed', 'TurnRequested');
  over.refuses({ kind: 'retryTurn', turnId: at.id('Bob') }, 'conflict', /only the last turn/);
  over.when({ kind: 'leave', participantId: at.id('Bob') }).refuses(retry, 'conflict', /has left/);
  spoken(asked).refuses(retry, 'conflict', /was completed/);
});

test('skip: not before its time, once, never a turn that waits for ever or is a model’s', () => {
  const at = given({ participants: [person('Eve', { answerWithinMs: minute }), agent('Ada')] });
  const skip = { kind: 'skipTurn', turnId: at.turn().turnId } as const;
  at.later(minute - 1).refuses(skip, 'conflict', /not passed/);
  const skipped = at.later(minute).when(skip).gives('TurnSkipped', 'TurnRequested');
  assert.is(skipped.data('TurnSkipped').reason, 'deadline');
  assert.is(skipped.turn().participantId, at.id('Ada'));
  skipped.refuses(skip, 'conflict', /not open/);
  for (const patient of [agent('Ada'), person('Eve'), external('Bot', { answerWithinMs: null })]) {
    const waits = given({ participants: [patient] });
    assert.is(waits.turn().answerWithinMs, null, patient.name);
    waits.later(1e12).refuses({ kind: 'skipTurn', turnId: waits.turn().turnId }, 'conflict', /not passed/);
  }
  assert.is(given({ participants: [external('Bot')] }).turn().answerWithinMs, 10 * minute);
});

test('when nobody answers, at least three times and once for each, the discussion pauses', () => {
  for (const [people, skips] of [
    [1, 3],
    [5, 5],
  ] as const) {
    const participants = Array.from({ length: people }, (_, i) => person(`P${i}`, { answerWithinMs: minute }));
    let at = given({ participants });
    for (let i = 1; i <= skips; i += 1) {
      at = at.later(minute).when({ kind: 'skipTurn', turnId: at.turn().turnId });
      at.gives('TurnSkipped', i < skips ? 'TurnRequested' : 'DiscussionPaused');
    }
    assert.is(at.data('DiscussionPaused').reason, 'nobody-answers');
    at.when({ kind: 'resume' }).gives('DiscussionResumed', 'TurnRequested');
  }
});

test.run();
