import * as assert from 'uvu/assert';
import { defaultLimits } from '../../../domain/discussion/events.ts';
import { present } from '../../../domain/discussion/state.ts';
import { abandon, agent, claim, complete, external, given, minute, nothing, open } from '../given.ts';
import { person, post, spoken, startMs } from '../given.ts';
import { suite } from '../../harness.ts';

const test = suite('discussion: open, join, leave, pause, resume, conclude, expire, change');

const deadline = new Date(startMs + 10 * minute).toISOString();
const withDeadline = { limits: { ...defaultLimits, deadline } };

test('open gives the first turn in the same batch', () => {
  const opened = given().gives('DiscussionOpened', 'ParticipantJoined', 'ParticipantJoined', 'TurnRequested');
  assert.is(opened.state.status, 'open');
  const { number, why, answeredBy, answerWithinMs } = opened.data('TurnRequested');
  assert.equal([number, why.policy, answeredBy, answerWithinMs], [1, 'round-robin', 'model', undefined]);
  assert.is(opened.turn().participantId, opened.id('Ada'));
});

test('open without autostart is paused, without participants it waits', () => {
  const paused = given({ autostart: false });
  paused.gives('DiscussionOpened', 'ParticipantJoined', 'ParticipantJoined', 'DiscussionPaused');
  assert.is(paused.data('DiscussionPaused').reason, 'not-started');
  paused.when({ kind: 'resume' }).gives('DiscussionResumed', 'TurnRequested');
  const empty = given({ participants: [] }).gives('DiscussionOpened');
  empty.when({ kind: 'join', participant: agent('Ada') }).gives('ParticipantJoined', 'TurnRequested');
});

test('open keeps the context in its event only', () => {
  const opened = given({ contextText: 'A document.' });
  assert.equal(opened.data('DiscussionOpened').context, { text: 'A document.' });
  assert.equal(given().data('DiscussionOpened').context, {});
});

test('open is refused when repeated, with a past deadline, with too many, with a person twice', () => {
  given().refuses(open(), 'conflict', /exists already/);
  const past = { ...defaultLimits, deadline: new Date(startMs).toISOString() };
  nothing().refuses(open({ limits: past }), 'invalid', /deadline has passed/);
  const crowd = Array.from({ length: 101 }, (_, i) => agent(`a${i}`));
  nothing().refuses(open({ participants: crowd }), 'invalid', /at most 100/);
  nothing().refuses(open({ participants: [person('Eve'), person('Eve')] }), 'invalid', /only once/);
});

test('every command but open needs a discussion, and one that has not concluded', () => {
  const at = given();
  const concluded = at.when({ kind: 'conclude', detail: 'enough' });
  const commands = [
    { kind: 'join', participant: agent('Eve') } as const,
    { kind: 'leave', participantId: at.id('Ada') } as const,
    post('Eve', 'hello'),
    { kind: 'pause' } as const,
    { kind: 'resume' } as const,
    { kind: 'conclude' } as const,
    { kind: 'expire' } as const,
    { kind: 'change', policy: { kind: 'manual' } } as const,
    { kind: 'requestTurn', participantId: at.id('Ada') } as const,
    { kind: 'retryTurn', turnId: at.turn().turnId } as const,
    { kind: 'cancelTurn', turnId: at.turn().turnId } as const,
    { kind: 'skipTurn', turnId: at.turn().turnId } as const,
    claim(at),
    complete(at),
    abandon(at),
  ];
  for (const command of commands) {
    nothing().refuses(command, 'not-found', /no such discussion/);
    const says = command.kind === 'abandonTurn' ? /does not hold the turn/ : /has concluded \(requested\)/;
    concluded.refuses(command, 'conflict', says);
  }
});

test('names are unique, whatever case, also of those who left, and never cut within a character', () => {
  const at = given({ participants: [agent('Ada'), agent('ADA'), agent('Ada 2')] });
  assert.equal(
    present(at.existing()).map((each) => each.name),
    ['Ada', 'ADA 2', 'Ada 2 2'],
  );
  const gone = at.when({ kind: 'leave', participantId: at.id('Ada') });
  assert.is(gone.when({ kind: 'join', participant: agent('Ada') }).data('ParticipantJoined').name, 'Ada');
  assert.is(gone.when({ kind: 'join', participant: agent('ada') }).data('ParticipantJoined').name, 'ada 3');
  const long = `${'x'.repeat(57)}🫖🫖🫖`;
  const twice = given({ participants: [agent(long), agent(long)] });
  assert.is(twice.data('ParticipantJoined').name, `${'x'.repeat(57)} 2`);
});

test('join while a turn is open waits for its turn; the same person twice is refused', () => {
  const at = given({ participants: [agent('Ada'), person('Eve')] });
  const joined = at.when({ kind: 'join', participant: external('Bot') }).gives('ParticipantJoined');
  joined.refuses({ kind: 'join', participant: person('Eve') }, 'conflict', /takes part already/);
  const left = at.when({ kind: 'leave', participantId: at.id('Eve') });
  left.when({ kind: 'join', participant: person('Eve') }).gives('ParticipantJoined');
  const crowd = given({ participants: Array.from({ length: 100 }, (_, i) => agent(`a${i}`)) });
  crowd.refuses({ kind: 'join', participant: agent('b') }, 'conflict', /at most 100/);
});

test('leave with an open turn cancels it and goes on with somebody else', () => {
  const at = given().when({ kind: 'join', participant: agent('Eve') });
  const left = at.when(claim(at)).when({ kind: 'leave', participantId: at.id('Ada') });
  left.gives('TurnCancelled', 'ParticipantLeft', 'TurnRequested');
  assert.is(left.data('TurnCancelled').reason, 'left');
  assert.is(left.turn().participantId, left.id('Bob'));
  assert.is(left.existing().unsettled.length, 1);
  left.refuses({ kind: 'leave', participantId: at.id('Ada') }, 'not-found', /no such participant/);
  at.when({ kind: 'leave', participantId: at.id('Eve') }).gives('ParticipantLeft');
});

test('when the last one leaves the discussion waits, open, for somebody to join', () => {
  const at = given({ participants: [agent('Ada')] });
  const empty = at.when({ kind: 'leave', participantId: at.id('Ada') }).gives('TurnCancelled', 'ParticipantLeft');
  assert.is(empty.state.status, 'open');
  empty.when({ kind: 'join', participant: agent('Bob') }).gives('ParticipantJoined', 'TurnRequested');
});

test('pause keeps the open turn; resume goes on with it; each only once', () => {
  const at = given();
  const paused = at.when({ kind: 'pause' }).gives('DiscussionPaused');
  paused.refuses({ kind: 'pause' }, 'conflict', /paused already/);
  paused.refuses(claim(paused), 'conflict', /paused/);
  assert.equal(paused.turn(), at.turn());
  const resumed = paused.when({ kind: 'resume' }).gives('DiscussionResumed');
  assert.equal(resumed.state, at.state);
  resumed.refuses({ kind: 'resume' }, 'conflict', /open already/);
});

test('an attempt under way may end during a pause; the next turn waits for the resume', () => {
  const at = given();
  const paused = at.when(claim(at)).when({ kind: 'pause' });
  const done = paused.when(complete(paused)).gives('TurnCompleted');
  done.when({ kind: 'resume' }).gives('DiscussionResumed', 'TurnRequested');
});

test('conclude ends the open turn; its attempt is settled once and changes nothing else', () => {
  const at = given();
  const claimed = at.when(claim(at));
  const concluded = claimed.when({ kind: 'conclude', detail: 'enough' });
  concluded.gives('TurnCancelled', 'DiscussionConcluded');
  assert.equal(concluded.data('DiscussionConcluded'), { reason: 'requested', detail: 'enough' });
  concluded.refuses(complete(claimed), 'conflict', /has concluded/);
  const settled = concluded.when(abandon(claimed, { reason: 'cancelled' })).gives('TurnAttemptAbandoned');
  assert.is(settled.existing().tokensUsed, 103);
  settled.refuses(abandon(claimed, { reason: 'cancelled' }), 'conflict', /does not hold the turn/);
});

test('the deadline: expire, the next decision, a claim and a resume all end the discussion, not before', () => {
  const at = given(withDeadline);
  at.later(10 * minute - 1).refuses({ kind: 'expire' }, 'conflict', /not passed/);
  const late = at.later(10 * minute);
  late.when({ kind: 'expire' }).gives('TurnCancelled', 'DiscussionConcluded');
  assert.is(late.when({ kind: 'expire' }).data('DiscussionConcluded').reason, 'deadline');
  const claimed = at.when(claim(at)).later(10 * minute);
  claimed.when(complete(claimed)).gives('TurnCompleted', 'DiscussionConcluded');
  late.when(claim(late)).gives('TurnCancelled', 'DiscussionConcluded');
  const paused = given({ ...withDeadline, autostart: false }).later(10 * minute);
  paused.when({ kind: 'resume' }).gives('DiscussionResumed', 'DiscussionConcluded');
  given().refuses({ kind: 'expire' }, 'conflict', /not passed/);
});

test('limits end the discussion in the batch that reaches them', () => {
  const two = { limits: { ...defaultLimits, maxTurns: 2 } };
  const first = spoken(given(two)).gives('TurnCompleted', 'TurnRequested');
  assert.is(
    spoken(first).gives('TurnCompleted', 'DiscussionConcluded').data('DiscussionConcluded').reason,
    'max-turns',
  );
  const tokens = given({ limits: { ...defaultLimits, maxTokens: 500 } });
  const over = tokens.when(claim(tokens));
  const much = over.when(
    complete(over, 'Yes.', { usage: { inputTokens: 400, outputTokens: 100, source: 'reported' } }),
  );
  assert.is(much.gives('TurnCompleted', 'DiscussionConcluded').data('DiscussionConcluded').reason, 'max-tokens');
});

test('change: policy and limits, one event each; a limit reached meanwhile ends it after the open turn', () => {
  const at = spoken(given());
  const changed = at.when({ kind: 'change', policy: { kind: 'manual' }, limits: { maxTurns: 1 } });
  changed.gives('PolicySwitched', 'LimitsChanged');
  assert.equal(changed.existing().limits, { ...defaultLimits, maxTurns: 1 });
  spoken(changed).gives('TurnCompleted', 'DiscussionConcluded');
  at.refuses({ kind: 'change' }, 'invalid', /nothing to change/);
  const past = { deadline: new Date(startMs - 1).toISOString() };
  at.refuses({ kind: 'change', limits: past }, 'invalid', /deadline has passed/);
});

test('switching from manual asks for a turn at once; lowering a limit while nobody has the floor ends it', () => {
  const at = spoken(
    given({ policy: { kind: 'manual' } })
      .when({ kind: 'pause' })
      .when({ kind: 'resume' })
      .when({
        kind: 'change',
        policy: { kind: 'round-robin' },
      }),
  );
  at.gives('TurnCompleted', 'TurnRequested');
  const manual = given({ policy: { kind: 'manual' } });
  const asked = manual.when({ kind: 'requestTurn', participantId: manual.id('Bob') });
  spoken(asked)
    .when({ kind: 'change', limits: { maxTurns: 1 } })
    .gives('LimitsChanged', 'DiscussionConcluded');
});

test.run();
