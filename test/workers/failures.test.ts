import * as assert from 'uvu/assert';
import { resumeDiscussion } from '../../commands/resumeDiscussion.ts';
import { ModelFailure } from '../../domain/model.ts';
import { suite } from '../harness.ts';
import { postgresForTests, type TestDatabase } from '../services.ts';
import { startTestEngine, type TestEngine } from './engineForTests.ts';
import { checkEnded, checkLog, rerender } from './logChecks.ts';
import { failsTimes, narrow, type Move } from './scriptedModel.ts';
import { anAgent, asked, history, only, open, shape, talk, until, untilConcluded, untilEvent } from './talks.ts';

const test = suite('workers: attempts that fail');
let database: TestDatabase;
let on: TestEngine;
test.before(async () => {
  database = await postgresForTests();
  on = await startTestEngine(database.url, { settings: { retryMs: 60, circuit: { failures: 100 } } });
});
test.after(async () => {
  await on.stop();
  await database.stop();
});

const used = { inputTokens: 11, outputTokens: 3, source: 'reported' as const };
const busy = () => new ModelFailure('error', 'the provider is busy', { usage: used });

test('an attempt that failed is on record with its usage, and tried again after a pause that doubles', async () => {
  on.models.script('twice', failsTimes(2, busy));
  const id = await talk(on, ['twice'], { limits: { maxTurns: 1 } });
  const events = await untilConcluded(on, id);
  checkEnded(events, 1);
  const abandoned = only(events, 'TurnAttemptAbandoned').map(({ data }) => data);
  assert.equal(
    abandoned.map(({ attempt, reason, usage, detail }) => ({ attempt, reason, usage, detail })),
    [1, 2].map((attempt) => ({ attempt, reason: 'error', usage: used, detail: 'the provider is busy' })),
  );
  const [first, second] = abandoned.map(({ retryAfterMs }) => retryAfterMs ?? -1);
  assert.ok(first !== undefined && first >= 45 && first <= 75, `first pause ${first} ms of 60, jitter ±25 %`);
  assert.ok(second !== undefined && second >= 90 && second <= 150, `second pause ${second} ms of 120`);
  const at = (event: { metadata: { occurredAt: string } }) => Date.parse(event.metadata.occurredAt);
  const claims = only(events, 'TurnClaimed');
  const ends = only(events, 'TurnAttemptAbandoned');
  for (const [i, end] of ends.entries()) {
    const claim = claims[i + 1];
    assert.ok(claim && at(claim) - at(end) >= (abandoned[i]?.retryAfterMs ?? 0), 'the pause is kept');
  }
  assert.is((await rerender(on, id)).length, 3);
});

test('a seed counts up with every attempt, on record', async () => {
  on.models.script('seeded', failsTimes(2, busy));
  const agentId = await anAgent(on, 'Ada', { name: 'seeded', parameters: { seed: 7 } });
  const id = await open(on, { participants: [{ agentId }], limits: { maxTurns: 1 } });
  const claims = only(await untilConcluded(on, id), 'TurnClaimed');
  assert.equal(
    claims.map(({ data }) => data.prompt.parameters.seed),
    [7, 8, 9],
  );
  assert.equal(
    on.models.calls('seeded').map(({ request }) => request.parameters.seed),
    [7, 8, 9],
  );
});

test('three failures fail the turn and the next is requested; three failed turns pause', async () => {
  on.models.script('never', () => [{ fail: busy() }]);
  const id = await talk(on, 'never', { limits: { maxTurns: 5 } });
  const events = await untilEvent(on, id, ({ type }) => type === 'DiscussionPaused');
  checkLog(events);
  const one =
    'TurnRequested TurnClaimed TurnAttemptAbandoned TurnClaimed TurnAttemptAbandoned TurnClaimed TurnAttemptAbandoned TurnFailed';
  assert.is(shape(events), `${one} ${one} ${one} DiscussionPaused`);
  assert.is(only(events, 'DiscussionPaused')[0]?.data.reason, 'failures');
  assert.is(on.models.calls('never').length, 9);
  on.models.script('never', () => [{ say: 'better now' }]);
  await resumeDiscussion(on.engine, id, asked(on));
  const all = await untilConcluded(on, id);
  checkLog(all);
  assert.is(only(all, 'TurnCompleted').length, 5);
});

test('a failure that cannot pass is not tried again', async () => {
  on.models.script('gone', ({ n }) =>
    n === 1 ? [{ fail: new ModelFailure('error', 'there is no such model', { retryable: false }) }] : [{ say: 'here' }],
  );
  const id = await talk(on, 'gone', { limits: { maxTurns: 1 } });
  const events = await untilConcluded(on, id);
  assert.is(
    shape(events),
    'TurnRequested TurnClaimed TurnAttemptAbandoned TurnFailed TurnRequested TurnClaimed TurnCompleted DiscussionConcluded',
  );
});

test('a prompt that is too long halves its window until it fits, and every one of them renders again', async () => {
  on.models.script('talker', () => [{ say: 'Words and words. '.repeat(30) }]);
  const id = await talk(on, ['talker', 'talker', 'tight'], { limits: { maxTurns: 12 } });
  on.models.script('tight', narrow(900));
  const events = await untilConcluded(on, id);
  checkEnded(events, 12);
  const divisors = only(events, 'TurnAttemptAbandoned').map(({ data }) => data.windowDivisor);
  assert.ok(divisors.length > 0 && divisors.every((each) => each === 2 || each === 4), divisors.join(' '));
  const prompts = await rerender(on, id);
  // The budget is halved, not what was shown of it: an attempt may show as much as the one before.
  for (const turnId of new Set(only(events, 'TurnAttemptAbandoned').map(({ data }) => data.turnId))) {
    const sizes = prompts.filter((each) => each.turnId === turnId).map(({ prompt }) => prompt.canonical.length);
    assert.ok((sizes.at(-1) ?? 0) < (sizes[0] ?? 0), `characters sent: ${sizes.join(', ')}`);
  }
});

const unfit: [string, string, Move[]][] = [
  ['an empty answer', 'empty', []],
  ['an answer of white space', 'blank', [{ say: ' \n\t ' }]],
  ['an answer that breaks off without an end', 'vanishes', [{ say: 'I was about to' }, { vanish: true }]],
  ['an answer that never stops', 'endless', Array.from({ length: 200 }, () => ({ say: 'and so on '.repeat(100) }))],
  ['an answer too large for the log in a single piece', 'huge', [{ say: 'x'.repeat(3_000_000) }]],
];
for (const [what, name, moves] of unfit)
  test(`${what} is invalid output, and the next attempt is made`, async () => {
    on.models.script(name, ({ n }) => (n === 1 ? moves : [{ say: 'A sound answer.' }]));
    const id = await talk(on, name, { limits: { maxTurns: 1 } });
    const events = await untilConcluded(on, id);
    checkEnded(events, 1);
    const [abandoned] = only(events, 'TurnAttemptAbandoned');
    assert.is(abandoned?.data.reason, 'invalid_output');
    assert.ok((abandoned?.data.usage.inputTokens ?? 0) > 0, 'its tokens are counted');
    assert.ok((abandoned?.data.partial?.length ?? 0) <= 100_000);
    if (name === 'vanishes') assert.is(abandoned?.data.partial, 'I was about to');
  });

test('a model that refuses fails its turn at once, whatever it said', async () => {
  on.models.script('prim', ({ n }) =>
    n === 1 ? [{ say: 'I cannot' }, { finish: 'refused' }] : [{ say: 'Well then.' }],
  );
  const id = await talk(on, 'prim', { limits: { maxTurns: 1 } });
  const [failed] = only(await untilConcluded(on, id), 'TurnFailed');
  assert.is(failed?.data.reason, 'refused');
});

test('texts that no log can hold are cleaned, and an unexpected error of a model is a failed attempt', async () => {
  on.models.script('odd', ({ n }) => {
    if (n === 1) throw new TypeError('a bug in an adapter');
    return [{ say: 'nul \u0000 and \ud83d half' }];
  });
  const id = await talk(on, 'odd', { limits: { maxTurns: 1 } });
  const events = await untilConcluded(on, id);
  checkEnded(events, 1);
  assert.is(only(events, 'TurnAttemptAbandoned')[0]?.data.detail, 'the model failed in an unexpected way');
  assert.equal(only(events, 'TurnCompleted')[0]?.data.content, [{ type: 'text', text: 'nul  and \ufffd half' }]);
});

test('a provider that is not set up fails the turn with a reason, and asks nobody', async () => {
  const agentId = await anAgent(on, 'Ada', { provider: 'openai', name: 'gpt' });
  const id = await open(on, { participants: [{ agentId }], limits: { maxTurns: 3 } });
  const events = await untilEvent(on, id, ({ type }) => type === 'DiscussionPaused');
  assert.match(only(events, 'TurnAttemptAbandoned')[0]?.data.detail ?? '', 'no provider openai is set up');
  assert.equal(only(events, 'TurnAttemptAbandoned')[0]?.data.usage, {
    inputTokens: 0,
    outputTokens: 0,
    source: 'reported',
  });
});

test('a log that is away for a moment while an answer is brought in loses nothing', async () => {
  on.models.script('steady', () => [{ say: 'kept' }, { waitMs: 150 }]);
  const id = await talk(on, 'steady', { limits: { maxTurns: 2 } });
  await untilEvent(on, id, ({ type }) => type === 'TurnClaimed');
  on.faults.logAway = true;
  await until(() => on.logged.some((line) => line.startsWith('the log did not take a result')));
  on.faults.logAway = false;
  const events = await untilConcluded(on, id);
  checkEnded(events, 2);
  assert.is(only(await history(on, id), 'TurnClaimed').length, 2, 'no call was made twice');
  assert.is(on.models.calls('steady').length, 2);
});
test.run();
