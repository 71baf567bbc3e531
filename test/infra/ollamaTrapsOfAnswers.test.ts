/** The traps of Ollama that lie in what it answers. */
import * as assert from 'uvu/assert';
import { parseRetryAfter } from '../../infra/ollamaTransport.ts';
import { collected, failureOf, textOf } from '../contracts/languageModelCalls.ts';
import { suite } from '../harness.ts';
import { ollamaFixture, until } from '../standins/ollamaFixture.ts';

const test = suite('Ollama traps: answers');
const own = ollamaFixture(test);
const soon = { firstByteMs: 150, chunkMs: 150, totalMs: 1_000 };

test('O6: a stream without a done frame is invalid_output, its usage estimated', async () => {
  for (const fault of ['noDone', 'halfLine', 'noContent', 'loadAnswer', 'unloadAnswer'] as const) {
    const failure = await own.failing(fault);
    assert.is(failure.reason, 'invalid_output', fault);
    assert.is(failure.usage?.source, 'estimated', fault);
  }
});

test('O6: an answer without text is invalid_output, its usage as reported', async () => {
  const failure = await own.failing('noText');
  assert.is(failure.reason, 'invalid_output');
  assert.is(failure.usage?.source, 'reported');
});

test('O13: nothing is printed, whatever the server sends', async () => {
  const methods = ['log', 'warn', 'error', 'info', 'debug'] as const;
  const printed: unknown[][] = [];
  const before = { ...console };
  for (const method of methods) console[method] = (...words: unknown[]) => void printed.push(words);
  try {
    for (const fault of ['garbageLine', 'okHtml', 'status502Html', 'status403', 'nullLine', 'numberLine'] as const)
      await own.failing(fault);
  } finally {
    Object.assign(console, before);
  }
  assert.equal(printed, []);
});

test('O13: lines that are no frames are invalid_output, and `error: null` is no error', async () => {
  for (const fault of [
    'garbageLine',
    'okHtml',
    'nullLine',
    'numberLine',
    'arrayLine',
    'contentNotText',
    'hugeLine',
  ] as const)
    assert.is((await own.failing(fault)).reason, 'invalid_output', fault);
  own.standin.fail('errorNull');
  assert.is(textOf(await collected(own.subject, {})), ' half of null it');
});

test('a frame that arrives twice is one frame', async () => {
  own.standin.fail('duplicateChunk');
  assert.is(textOf(await collected(own.subject, {})), ' half of it');
});

test('an answer longer than we read is cut off', async () => {
  own.use({ maxAnswerBytes: 20_000 });
  const failure = await own.failing('endless');
  assert.is(failure.reason, 'invalid_output');
  await until(() => own.standin.working() === 0);
});

test('O14: Retry-After is read, as seconds and as a date', async () => {
  assert.is((await own.failing('status429')).retryAfterMs, 7_000);
  const afterMs = (await own.failing('status503Date')).retryAfterMs ?? 0;
  assert.ok(afterMs > 50_000 && afterMs <= 60_000, String(afterMs));
  assert.is(parseRetryAfter('soon', 0), undefined);
  assert.is(parseRetryAfter('-5', 0), undefined);
  assert.is(parseRetryAfter('Wed, 21 Oct 2015 07:28:00 GMT', Date.parse('2015-10-21T07:27:50Z')), 10_000);
  assert.is(parseRetryAfter('999999999', 0), 3_600_000);
});

test('O14: errors in a 200, as a line, a body or an object, are errors', async () => {
  for (const fault of ['errorLine', 'okWithErrorBody', 'errorObject'] as const)
    assert.is((await own.failing(fault)).reason, 'error', fault);
});

test('O14: nobody listening is an error that says what to do', async () => {
  own.use({ baseUrl: 'http://127.0.0.1:1' });
  const failure = await failureOf(own.subject, {});
  assert.is(failure.reason, 'error');
  assert.is(failure.retryable, true);
  assert.match(failure.message, /ollama serve/);
  assert.is(failure.usage, undefined);
  assert.is(await own.model.reachable(), false);
});

test('O15: a server whose chats hang is reachable all the same, and our deadline ends the chat', async () => {
  own.standin.fail('stallBeforeFirstByte');
  const [failure, reachable] = await Promise.all([failureOf(own.subject, { deadlines: soon }), own.model.reachable()]);
  assert.is(failure.reason, 'time_out');
  assert.is(reachable, true);
});

test('O20: no message shows a path of the server, and a 403 says what it means', async () => {
  for (const fault of ['status500', 'errorLine'] as const)
    assert.not.match((await own.failing(fault)).message, /\/|sha256|blob/, fault);
  const refused = await own.failing('status403');
  assert.match(refused.message, /Host/);
  assert.is(refused.retryable, false);
});

test('O19: a redirect is never followed', async () => {
  const failure = await own.failing('redirect');
  assert.is(failure.reason, 'error');
  assert.is(failure.retryable, false);
});

test('what does not speak HTTP is not tried again', async () => {
  assert.is((await own.failing('notHttp')).retryable, false);
});

test.run();
