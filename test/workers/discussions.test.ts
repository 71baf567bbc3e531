import * as assert from 'uvu/assert';
import { leaveDiscussion } from '../../commands/leaveDiscussion.ts';
import { postMessage } from '../../commands/postMessage.ts';
import { textOf } from '../../domain/content.ts';
import type { Delta } from '../../domain/ports.ts';
import { suite } from '../harness.ts';
import { postgresForTests, type TestDatabase } from '../services.ts';
import { startTestEngine, type TestEngine } from './engineForTests.ts';
import { checkEnded, checkLog, rerender } from './logChecks.ts';
import { asked, history, only, talk, until, untilConcluded, untilEvent } from './talks.ts';

const test = suite('workers: discussions');
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

test('three agents talk in turn to the end, turns numbered and one message each', async () => {
  const id = await talk(on, ['one', 'two', 'three'], { limits: { maxTurns: 7 } });
  const events = await untilConcluded(on, id);
  checkEnded(events, 7);
  assert.equal(
    only(events, 'TurnCompleted').map(({ data }) => textOf(data.content)),
    ['one says 1', 'two says 1', 'three says 1', 'one says 2', 'two says 2', 'three says 2', 'one says 3'],
  );
  const [end] = only(events, 'DiscussionConcluded');
  assert.is(end?.data.reason, 'max-turns');
  assert.is(only(events, 'TurnClaimed').length, 7, 'no attempt too many');
});

test('every prompt renders again from the log to the recorded bytes, while its window moves', async () => {
  on.models.script('long', ({ n }) => [{ say: `Number ${n}. ` }, { say: 'A long thought. '.repeat(40) }], {
    defaultContextTokens: 2048,
  });
  const id = await talk(on, 'long', { limits: { maxTurns: 30 } });
  checkEnded(await untilConcluded(on, id), 30);
  const prompts = await rerender(on, id);
  assert.is(prompts.length, 30);
  const starts = new Set(prompts.flatMap(({ window }) => (window === null ? [] : [window.from])));
  assert.ok(starts.size >= 3, `the window moved: ${[...starts].join(' ')}`);
  // What the model was really sent.
  const sent = on.models.calls('long').map(({ request }) => JSON.stringify(request.messages));
  assert.equal(
    sent,
    prompts.map(({ prompt }) => JSON.stringify(prompt.messages)),
  );
});

test('the same holds with a document of which parts are shown, posted messages and somebody who leaves', async () => {
  on.models.script('reader', ({ n }) => [{ waitMs: 15 }, { say: `Reading ${n}.` }]);
  const paragraphs = Array.from({ length: 300 }, (_, i) => `Section ${i}: tests of part ${i} show what is worth it.`);
  const id = await talk(on, 'reader', { context: { text: paragraphs.join('\n\n') }, limits: { maxTurns: 9 } });
  await untilEvent(on, id, (_, all) => only(all, 'TurnCompleted').length === 2);
  await postMessage(on.engine, id, { content: 'And what do people say?' }, asked(on, 'visitor'));
  const [, second] = only(await history(on, id), 'ParticipantJoined');
  await leaveDiscussion(on.engine, id, second?.data.participantId ?? '', asked(on));
  const events = await untilConcluded(on, id);
  checkLog(events);
  const prompts = await rerender(on, id);
  assert.ok(prompts.length >= 9);
  assert.match(JSON.stringify(prompts.at(-1)?.prompt.messages), 'And what do people say?');
  const [claim] = only(events, 'TurnClaimed');
  const shown = claim?.data.prompt.context.reduce((sum, [from, to]) => sum + to - from, 0) ?? 0;
  assert.ok(shown > 0 && shown < paragraphs.join('\n\n').length, `shown in part: ${shown}`);
});

test('deltas of an answer reach a reader in order and are forgotten when its turn has ended', async () => {
  on.models.script('typist', () => [{ say: 'a' }, { waitMs: 20 }, { say: 'b' }, { say: 'c' }]);
  const stop = new AbortController();
  const heard: Delta[] = [];
  const reading = (async () => {
    for await (const delta of on.bus.deltas({ project: '*' }, { signal: stop.signal })) heard.push(delta);
  })();
  const id = await talk(on, 'typist', { limits: { maxTurns: 2 } });
  await untilConcluded(on, id);
  await until(() => heard.length === 6);
  stop.abort();
  await reading;
  assert.equal(
    heard.map(({ offset, text, attempt }) => `${attempt}:${offset}${text}`),
    ['1:0a', '1:1b', '1:2c', '1:0a', '1:1b', '1:2c'],
  );
  const later = on.bus.deltas({ project: '*' }, { signal: AbortSignal.timeout(50) })[Symbol.asyncIterator]();
  assert.is((await later.next()).done, true);
});
test.run();
