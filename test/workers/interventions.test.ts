import * as assert from 'uvu/assert';
import { cancelTurn } from '../../commands/cancelTurn.ts';
import { changeDiscussion } from '../../commands/changeDiscussion.ts';
import { concludeDiscussion } from '../../commands/concludeDiscussion.ts';
import { pauseDiscussion } from '../../commands/pauseDiscussion.ts';
import { postMessage } from '../../commands/postMessage.ts';
import { resumeDiscussion } from '../../commands/resumeDiscussion.ts';
import { suite } from '../harness.ts';
import { postgresForTests, type TestDatabase } from '../services.ts';
import { startTestEngine, type TestEngine } from './engineForTests.ts';
import { checkEnded, checkLog } from './logChecks.ts';
import { anAgent, asked, history, only, open, shape, talk, until, untilConcluded, untilEvent } from './talks.ts';

const test = suite('workers: people who step in');
let database: TestDatabase;
let on: TestEngine;
test.before(async () => {
  database = await postgresForTests();
  on = await startTestEngine(database.url);
});
test.after(async () => {
  await on.stop();
  await database.stop();
});

/** A model that has said something and then waits for ever, once; afterwards it answers. */
function stallsOnce(name: string): void {
  on.models.script(name, ({ n }) =>
    n === 1 ? [{ say: 'Half a ' }, { say: 'thought' }, { stall: true }] : [{ say: 'On.' }],
  );
}

async function untilHalfSaid(id: string, name: string): Promise<string> {
  const events = await untilEvent(on, id, ({ type }) => type === 'TurnClaimed');
  await until(() => on.models.calls(name).length === 1);
  await new Promise((resolve) => setTimeout(resolve, 30));
  return only(events, 'TurnClaimed')[0]?.data.turnId ?? '';
}

test('a cancelled turn keeps what was said, counts its tokens once, stops the model, and the next turn goes on', async () => {
  stallsOnce('cancelled');
  const id = await talk(on, 'cancelled', { limits: { maxTurns: 2 } });
  const turnId = await untilHalfSaid(id, 'cancelled');
  await cancelTurn(on.engine, id, turnId, asked(on));
  const events = await untilConcluded(on, id);
  checkLog(events);
  const settled = only(await untilEvent(on, id, ({ type }) => type === 'TurnAttemptAbandoned'), 'TurnAttemptAbandoned');
  assert.is(settled.length, 1);
  const { partial, reason, usage, retryAfterMs } = settled[0]?.data ?? {};
  assert.equal([partial, reason, retryAfterMs], ['Half a thought', 'cancelled', null]);
  assert.is(usage?.outputTokens, 4, 'as the model reported: 2 + 2');
  const [call] = on.models.calls('cancelled');
  assert.equal([call?.stopped, call?.over], [true, true], 'the model was told to stop');
  assert.is(only(events, 'TurnCompleted').length, 2);
});

test('a turn that is cancelled just when its answer is there settles with what the answer cost', async () => {
  on.models.script('deaf', ({ n }) =>
    n === 1 ? [{ say: 'Too late.' }, { waitMs: 200, deaf: true }] : [{ say: 'On.' }],
  );
  const id = await talk(on, 'deaf', { limits: { maxTurns: 1 } });
  const turnId = await untilHalfSaid(id, 'deaf');
  await cancelTurn(on.engine, id, turnId, asked(on));
  await untilConcluded(on, id);
  const events = await untilEvent(on, id, ({ type }) => type === 'TurnAttemptAbandoned', 2_000);
  checkLog(await history(on, id));
  const [late] = only(events, 'TurnAttemptAbandoned');
  assert.equal([late?.data.partial, late?.data.usage.source], ['Too late.', 'reported']);
  assert.is(late?.data.detail, 'the turn had ended before the answer came');
});

test('a discussion concluded in the middle of a turn settles the attempt and asks for nothing more', async () => {
  stallsOnce('concluded');
  const id = await talk(on, 'concluded');
  await untilHalfSaid(id, 'concluded');
  await concludeDiscussion(on.engine, id, { reason: 'enough' }, asked(on));
  const events = await untilEvent(on, id, ({ type }) => type === 'TurnAttemptAbandoned');
  assert.is(shape(events), 'TurnRequested TurnClaimed TurnCancelled DiscussionConcluded TurnAttemptAbandoned');
  assert.is(checkLog(events).outstanding.size, 0);
  assert.is(on.models.calls('concluded')[0]?.stopped, true);
});

test('a pause lets the running turn end and starts none; resuming goes on', async () => {
  on.models.script('paused', () => [{ say: 'Said ' }, { waitMs: 120 }, { say: 'to the end.' }]);
  const id = await talk(on, 'paused', { limits: { maxTurns: 3 } });
  await untilEvent(on, id, ({ type }) => type === 'TurnClaimed');
  await pauseDiscussion(on.engine, id, asked(on));
  await untilEvent(on, id, ({ type }) => type === 'TurnCompleted');
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.is(shape(await history(on, id)), 'TurnRequested TurnClaimed DiscussionPaused TurnCompleted');
  await resumeDiscussion(on.engine, id, asked(on));
  checkEnded(await untilConcluded(on, id), 3);
});

test('a turn that was open and unclaimed at the pause is claimed after it', async () => {
  on.models.script('waits', () => [{ say: 'Here.' }]);
  const agentId = await anAgent(on, 'Ada', { name: 'waits' });
  const id = await open(on, { participants: [{ userId: 'olga' }, { agentId }], limits: { maxTurns: 2 } });
  const [first] = only(await history(on, id), 'TurnRequested');
  await pauseDiscussion(on.engine, id, asked(on));
  // Answered while paused: the next turn is not requested before the end of the pause.
  await postMessage(on.engine, id, { content: 'Hello', turnId: first?.data.turnId ?? '' }, asked(on, 'olga'));
  await resumeDiscussion(on.engine, id, asked(on));
  const events = await untilConcluded(on, id);
  checkLog(events);
  assert.is(only(events, 'TurnCompleted').length, 2);
  assert.is(only(events, 'TurnClaimed').length, 1);
});

test('a failed attempt waits out a pause and is made after it', async () => {
  on.models.script('limps', ({ n }) => (n === 1 ? [{ waitMs: 150 }, { vanish: true }] : [{ say: 'Better.' }]));
  const id = await talk(on, 'limps', { limits: { maxTurns: 1 } });
  await untilEvent(on, id, ({ type }) => type === 'TurnClaimed');
  await pauseDiscussion(on.engine, id, asked(on));
  await untilEvent(on, id, ({ type }) => type === 'TurnAttemptAbandoned');
  await new Promise((resolve) => setTimeout(resolve, 400));
  assert.is(on.models.calls('limps').length, 1);
  await resumeDiscussion(on.engine, id, asked(on));
  checkEnded(await untilConcluded(on, id, 3_000), 1);
});

test('people and agents that run elsewhere answer by a message', async () => {
  const agentId = await anAgent(on, 'Remote', { provider: 'external', name: 'elsewhere' });
  const id = await open(on, { participants: [{ userId: 'olga' }, { agentId }], limits: { maxTurns: 4 } });
  for (let number = 1; number <= 4; number += 1) {
    const events = await untilEvent(on, id, (event) => event.type === 'TurnRequested' && event.data.number === number);
    const turnId = only(events, 'TurnRequested').at(-1)?.data.turnId ?? '';
    await postMessage(on.engine, id, { content: `Answer ${number}`, turnId }, asked(on, 'olga'));
  }
  const events = await untilConcluded(on, id);
  checkEnded(events, 4);
  assert.is(only(events, 'TurnClaimed').length, 0, 'no worker touched them');
});

test('turns nobody answers in time are skipped, and when nobody answers at all the discussion pauses', async () => {
  const agentId = await anAgent(on, 'Remote', { provider: 'external', name: 'elsewhere' });
  const participants = [
    { userId: 'olga', answerWithinMs: 1000 },
    { agentId, answerWithinMs: 1000 },
  ];
  const id = await open(on, { participants, limits: { maxTurns: 9 } });
  const events = await untilEvent(on, id, ({ type }) => type === 'DiscussionPaused');
  checkLog(events);
  assert.is(shape(events), `${'TurnRequested TurnSkipped '.repeat(3)}DiscussionPaused`);
  assert.is(only(events, 'DiscussionPaused')[0]?.data.reason, 'nobody-answers');
  for (const [i, skipped] of only(events, 'TurnSkipped').entries()) {
    const requested = only(events, 'TurnRequested')[i];
    const waited = Date.parse(skipped.metadata.occurredAt) - Date.parse(requested?.metadata.occurredAt ?? '');
    assert.ok(waited >= 1000 && waited < 2500, `skipped after ${waited} ms of 1000`);
  }
});

test('a discussion past its deadline concludes even while a turn runs or it is paused', async () => {
  stallsOnce('late');
  const deadline = () => new Date(Date.now() + 700).toISOString();
  const running = await talk(on, 'late', { limits: { deadline: deadline() } });
  const paused = await open(on, {
    participants: [{ userId: 'olga' }],
    autostart: false,
    limits: { deadline: deadline() },
  });
  for (const id of [running, paused]) {
    const [end] = only(await untilConcluded(on, id), 'DiscussionConcluded');
    assert.is(end?.data.reason, 'deadline');
  }
  checkLog(await untilEvent(on, running, ({ type }) => type === 'TurnAttemptAbandoned'));
});

test('a budget is set aside before the call and exceeded by no more than the call in flight', async () => {
  on.models.script('dear', () => [{ say: 'word '.repeat(400) }]);
  const id = await talk(on, 'dear', { limits: { maxTurns: 50, maxTokens: 9000 } });
  const events = await untilConcluded(on, id);
  const audit = checkLog(events);
  assert.is(only(events, 'DiscussionConcluded')[0]?.data.reason, 'max-tokens');
  assert.ok(audit.tokens > 3000 && audit.tokens <= 9000 + audit.excess, `${audit.tokens} tokens used`);
  assert.is(audit.outstanding.size, 0);
  let used = 0;
  for (const event of events) {
    if (event.type === 'TurnClaimed') assert.ok(used + event.data.reserved <= 9000, 'it was there to be set aside');
    if (event.type === 'TurnCompleted') used += event.data.usage.inputTokens + event.data.usage.outputTokens;
  }
});

test('limits that are lowered while it runs end the discussion', async () => {
  on.models.script('plenty', () => [{ waitMs: 30 }, { say: 'More.' }]);
  const id = await talk(on, 'plenty', { limits: { maxTurns: 1000 } });
  await untilEvent(on, id, (_, all) => only(all, 'TurnCompleted').length === 2);
  await changeDiscussion(on.engine, id, { limits: { maxTurns: 4 } }, asked(on));
  const events = await untilConcluded(on, id);
  checkEnded(events, only(events, 'TurnCompleted').length);
  assert.ok(only(events, 'TurnCompleted').length <= 5);
});
test.run();
