import * as assert from 'uvu/assert';
import { defaultLimits } from '../../../domain/discussion/events.ts';
import { agent, claim, complete, external, given, minute, person, post, spoken, type Scene } from '../given.ts';
import { suite } from '../../harness.ts';

const test = suite('discussion: post, answers, mentions');

const addressed = { policy: { kind: 'addressed' } } as const;

test('post: a message beside the turns, by anybody, also during a pause', () => {
  const at = given({ participants: [agent('Ada'), person('Eve')] });
  const said = at.when(post('Eve', 'Hello')).gives('MessagePosted');
  assert.equal(said.data('MessagePosted').author, { userId: 'user-eve', name: 'Eve', participantId: at.id('Eve') });
  assert.equal(said.turn(), at.turn());
  const guest = at
    .when({ kind: 'pause' })
    .when(post('Zoe', 'Me too', { replyTo: at.id('Eve') }))
    .gives('MessagePosted');
  assert.equal(guest.data('MessagePosted').author, { userId: 'user-zoe', name: 'Zoe' });
  assert.is(guest.data('MessagePosted').replyTo, at.id('Eve'));
  assert.is(guest.existing().messages, 1);
  const gone = at.when({ kind: 'leave', participantId: at.id('Eve') }).when(post('Eve', 'Still here'));
  assert.equal(gone.data('MessagePosted').author, { userId: 'user-eve', name: 'Eve' });
});

test('post: a stop phrase cancels the open turn and ends the discussion', () => {
  const at = given({ limits: { ...defaultLimits, stopPhrases: ['the end'] } });
  const held = at.when(claim(at));
  const over = held.when(post('Eve', 'The End.')).gives('MessagePosted', 'TurnCancelled', 'DiscussionConcluded');
  assert.is(over.existing().unsettled.length, 1);
  at.when({ kind: 'pause' })
    .when(post('Eve', 'THE END'))
    .gives('MessagePosted', 'TurnCancelled', 'DiscussionConcluded');
});

test('answer: completes the turn of a person, once, and costs nothing', () => {
  const at = given({ participants: [person('Eve'), agent('Ada')] });
  const { turnId } = at.turn();
  const said = at
    .later(1234)
    .when(post('Eve', 'Tea.', { turnId }))
    .gives('TurnCompleted', 'TurnRequested');
  const data = said.data('TurnCompleted');
  assert.equal([data.attempt, data.model, data.timing.totalMs, data.participantId], [1, null, 1234, at.id('Eve')]);
  assert.equal([said.existing().tokensUsed, said.existing().turnsCompleted], [0, 1]);
  said.refuses(post('Eve', 'Tea.', { turnId }), 'conflict', /not open/);
  const stop = given({ participants: [person('Eve')], limits: { ...defaultLimits, stopPhrases: ['bye'] } });
  stop.when(post('Eve', 'bye', { turnId: stop.turn().turnId })).gives('TurnCompleted', 'DiscussionConcluded');
});

test('answer: refused to others unless on behalf, too late, and for a model’s turn', () => {
  const at = given({ participants: [person('Eve', { answerWithinMs: minute })] });
  const { turnId } = at.turn();
  at.refuses(post('Zoe', 'Me.', { turnId }), 'forbidden', /another person/);
  at.when(post('Zoe', 'For her.', { turnId, onBehalf: true })).gives('TurnCompleted', 'TurnRequested');
  at.later(minute).refuses(post('Eve', 'Sorry', { turnId }), 'conflict', /time to answer/);
  const models = given();
  models.refuses(post('Eve', 'Me', { turnId: models.turn().turnId }), 'conflict', /answered by a model/);
});

test('answer: an agent that runs elsewhere is answered for by any writer', () => {
  const at = given({ participants: [external('Bot')] });
  at.when(post('Zoe', 'beep', { turnId: at.turn().turnId })).gives('TurnCompleted', 'TurnRequested');
  at.when({ kind: 'pause' })
    .when(post('Zoe', 'beep', { turnId: at.turn().turnId }))
    .gives('TurnCompleted');
});

/** Who was addressed by a text of Eve's. */
function mentionsOf(at: Scene, text: string): string[] {
  const said = at.when(post('Eve', text)).existing();
  return said.addressed.map((id) => said.participants.find((each) => each.participantId === id)?.name ?? '?');
}

test('@mentions: whole names, whatever case, in the order of their first mention', () => {
  const at = given({ participants: [agent('Ada'), agent('Bob'), agent('Ada'), agent('Élodie 🫖'), person('Eve')] });
  const cases: readonly [string, readonly string[]][] = [
    ['nobody', []],
    ['@Ada', ['Ada']],
    ['hi @ADA, and @bob!', ['Ada', 'Bob']],
    ['@bob @ada @bob', ['Bob', 'Ada']],
    ['@Adam is not Ada', []],
    ['@Adam but @Ada', ['Ada']],
    ['@Ada 2: you', ['Ada 2']],
    ['@Ada 2 and @Ada', ['Ada 2', 'Ada']],
    ['@Ada 22', ['Ada']],
    ['@élodie 🫖?', ['Élodie 🫖']],
    ['write to someone@ada.example', []],
    ['(@Ada)', ['Ada']],
    ['@Eve', []],
    ['@Nobody', []],
  ];
  for (const [text, names] of cases) assert.equal(mentionsOf(at, text), names, text);
  const left = at.when({ kind: 'leave', participantId: at.id('Ada 2') });
  assert.equal(mentionsOf(left, '@Ada 2, or @Ada?'), ['Ada']);
  assert.equal(mentionsOf(left, '@Ada 2'), []);
});

test('addressed: who was named in the last message is next, and only once', () => {
  const at = given({ ...addressed, participants: [agent('Ada'), agent('Bob'), agent('Cleo')] });
  const named = spoken(at, 'What do you think, @Cleo, @Bob?');
  assert.is(named.turn().participantId, at.id('Cleo'));
  assert.match(named.data('TurnRequested').why.reason, /addressed as @Cleo/);
  const second = named.when({ kind: 'cancelTurn', turnId: named.turn().turnId });
  assert.is(second.turn().participantId, at.id('Bob'));
  const third = second.when({ kind: 'cancelTurn', turnId: second.turn().turnId });
  assert.is(third.turn().participantId, at.id('Cleo'));
  assert.match(third.data('TurnRequested').why.reason, /nobody was addressed/);
});

test('addressed: one who leaves or never answers does not hold the floor for ever', () => {
  const participants = [agent('Ada'), person('Eve', { answerWithinMs: minute }), agent('Cleo')];
  const at = given({ ...addressed, participants });
  const named = spoken(at, '@Eve?');
  assert.is(named.turn().participantId, at.id('Eve'));
  const skipped = named.later(minute).when({ kind: 'skipTurn', turnId: named.turn().turnId });
  assert.is(skipped.turn().participantId, at.id('Cleo'));
  const held = at.when(claim(at));
  const gone = held.when({ kind: 'leave', participantId: at.id('Eve') });
  assert.is(gone.when(complete(gone, '@Eve?')).turn().participantId, at.id('Cleo'));
});

test.run();
