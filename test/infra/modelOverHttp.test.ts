/** What is true of every provider reached over HTTP: its calls and its failures. */
import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import * as assert from 'uvu/assert';
import type { ModelParameters } from '../../domain/model.ts';
import { collected, failureOf, settles, textOf } from '../contracts/languageModelCalls.ts';
import { suite, type Suite } from '../harness.ts';
import { anthropicUnderTest } from '../standins/anthropic.ts';
import { type ModelServerFixture, modelServerFixture } from '../standins/modelServerFixture.ts';
import { openAiUnderTest } from '../standins/openai.ts';

for (const provider of [openAiUnderTest, anthropicUnderTest]) {
  const test = suite(`${provider.name}: calls`);
  const own = modelServerFixture(test, provider);
  calls(test, own);
  endings(test, own);
  statuses(test, own);
  test.run();
}

function calls(test: Suite, own: ModelServerFixture): void {
  test('the retries of the SDK are off: one request a call, whatever the server answers', async () => {
    const faults = ['status408', 'status409', 'status429', 'status500', 'status503', 'status529'] as const;
    for (const fault of [...faults, 'finBeforeHeaders', 'halfThenRst'] as const) {
      const before = own.standin.requests.length;
      assert.is((await own.failing(fault)).retryable, true, fault);
      assert.is(own.standin.requests.length - before, 1, fault);
    }
  });

  test('only our own headers are sent', async () => {
    await collected(own.subject, {});
    const [{ headers } = { headers: {} }] = own.standin.chats();
    const usual = ['accept', 'connection', 'content-length', 'content-type', 'host', 'user-agent'];
    const extra = Object.keys(headers).filter((name) => !usual.includes(name));
    assert.ok(extra.length > 0);
    assert.ok(
      extra.every((name) => ['authorization', 'x-api-key', 'anthropic-version'].includes(name)),
      extra.join(),
    );
  });

  test('closing ends what is under way', async () => {
    own.standin.fail('endless');
    const failure = await failureOf(own.subject, {}, undefined, () => own.model.close());
    assert.is(failure.reason, 'cancelled');
    await settles({ ...own.subject, working: () => own.standin.working() });
  });

  test('what no provider takes is not sent', async () => {
    for (const parameters of [{ num_predict: 0 }, { temperature: '0' }, { top_p: 2 }, { nonsense: 1 }])
      assert.is((await failureOf(own.subject, { parameters: parameters as ModelParameters })).retryable, false);
    for (const model of ['', 'a b', '../x', '/x', 'a\nb', 'a'.repeat(300)])
      assert.is((await failureOf(own.subject, { model })).retryable, false, model);
    for (const messages of [[], [{ role: 'system' as const, content: 'x' }], [{ role: 'user' as const, content: ' ' }]])
      assert.is((await failureOf(own.subject, { messages })).retryable, false);
    assert.is(own.standin.requests.length, 0);
  });
}

function endings(test: Suite, own: ModelServerFixture): void {
  test('O22: an abort in mid-stream is cancelled and estimated, never half a message', async () => {
    own.standin.fail('endless');
    const stop = new AbortController();
    let texts = 0;
    const failure = await failureOf(own.subject, {}, stop.signal, () => {
      texts += 1;
      if (texts === 4) stop.abort();
    });
    assert.is(failure.reason, 'cancelled');
    assert.is(failure.usage?.source, 'estimated');
    assert.ok(failure.usage !== undefined && failure.usage.outputTokens >= 4);
    assert.is(texts, 4, 'nothing that had arrived before is handed out after it');
  });

  test('headers are no first byte: a server that reads its prompt behind them has its time', async () => {
    own.standin.fail('headersOnly');
    const failure = await failureOf(own.subject, { deadlines: { firstByteMs: 400, chunkMs: 50, totalMs: 5_000 } });
    assert.is(failure.reason, 'time_out');
    assert.match(failure.message, /first byte/);
  });

  test('what is no answer is invalid_output', async () => {
    const faults = [
      'noDone',
      'halfEvent',
      'rawGarbage',
      'garbageLine',
      'numberEvent',
      'nullEvent',
      'hugeLine',
    ] as const;
    for (const fault of [...faults, 'okHtml', 'noContent', 'toolCall', 'noText'] as const)
      assert.is((await own.failing(fault)).reason, 'invalid_output', fault);
  });

  test('an answer longer than we read is cut off', async () => {
    own.use({ maxAnswerBytes: 20_000 });
    assert.is((await own.failing('endless')).reason, 'invalid_output');
    await settles({ ...own.subject, working: () => own.standin.working() });
  });

  test('comments, pings and carriage returns change nothing', async () => {
    for (const fault of ['comments', 'pings', 'carriageReturns'] as const) {
      own.standin.fail(fault);
      assert.is(textOf(await collected(own.subject, {})), ' half of it', fault);
    }
  });

  test('what the model or a filter refuses is refused', async () => {
    own.standin.fail('refusal');
    const last = (await collected(own.subject, {})).at(-1);
    assert.is(last?.type === 'done' ? last.finishReason : last?.type, 'refused');
    const failure = await own.failing('contentFilter');
    assert.equal([failure.reason, failure.retryable], ['refused', false]);
  });
}

function statuses(test: Suite, own: ModelServerFixture): void {
  test('another attempt is only for what may pass', async () => {
    const never = [
      'status400',
      'status401',
      'status403',
      'status404',
      'status429Credit',
      'redirect',
      'notHttp',
    ] as const;
    for (const fault of never) {
      const failure = await own.failing(fault);
      assert.equal([failure.reason, failure.retryable], ['error', false], fault);
    }
    for (const fault of ['status502Html', 'overloadedLine'] as const) {
      const failure = await own.failing(fault);
      assert.equal([failure.reason, failure.retryable], ['error', true], fault);
    }
  });

  test('a refusal used nothing', async () => {
    for (const fault of ['status400', 'status429', 'status500', 'promptTooLong'] as const)
      assert.is((await own.failing(fault)).usage, undefined, fault);
  });

  test('messages say what to do', async () => {
    assert.match((await own.failing('status401')).message, /key/);
    assert.match((await own.failing('status404')).message, /base URL/);
    assert.match((await own.failing('status429Credit')).message, /credit/);
    assert.match((await own.failing('wrongOption')).message, /parameter temperature/);
    assert.is((await own.failing('promptTooLongByCode')).promptTooLong, true);
  });

  test('Retry-After is read, exact, as seconds and as a date', async () => {
    assert.is((await own.failing('status429Exact')).retryAfterMs, 1_500);
    assert.is((await own.failing('status529')).retryAfterMs, 3_000);
    const afterMs = (await own.failing('status503Date')).retryAfterMs ?? 0;
    assert.ok(afterMs > 30_000 && afterMs <= 60_000, String(afterMs));
  });

  test('nobody listening is an error worth another attempt, and used nothing', async () => {
    own.use({ baseUrl: 'http://127.0.0.1:1' });
    const failure = await failureOf(own.subject, {});
    assert.equal([failure.reason, failure.retryable, failure.usage], ['error', true, undefined]);
    assert.match(failure.message, /ECONNREFUSED/);
    assert.not.match(failure.message, /127/);
  });

  test('a server that takes the connection and is silent on TLS meets the connect deadline', async () => {
    const silent = await listening();
    try {
      own.use({ baseUrl: `https://127.0.0.1:${(silent.address() as AddressInfo).port}`, connectMs: 200 });
      const failure = await failureOf(own.subject, {});
      assert.equal([failure.reason, failure.retryable], ['time_out', true]);
      assert.match(failure.message, /accept the connection/);
    } finally {
      silent.close();
    }
  });
}

/** A port that never says anything. */
async function listening(): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    server.once('close', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
