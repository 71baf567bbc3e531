/** The traps of OpenAI's protocol: its usage comes late or never, and its parameters differ from server to server. */
import type { ServerResponse } from 'node:http';
import * as assert from 'uvu/assert';
import type { ModelEvent } from '../../domain/model.ts';
import { createOpenAiModel } from '../../infra/openai.ts';
import { chatRequest } from '../../infra/openaiRequest.ts';
import { ask, collected, failureOf, settles, textOf } from '../contracts/languageModelCalls.ts';
import { suite } from '../harness.ts';
import { modelServerFixture } from '../standins/modelServerFixture.ts';
import { openAiProtocol, openAiUnderTest } from '../standins/openai.ts';
import { wallClock } from '../standins/wallClock.ts';

const test = suite('OpenAI traps');
const own = modelServerFixture(test, openAiUnderTest);
const { texts, end } = openAiProtocol.stream({ texts: [' half', ' it'], ends: 'by itself', promptTokens: 31 });
const [finish = '', usage = '', mark = ''] = end;
const estimated = { inputTokens: 12, outputTokens: 2, source: 'estimated' };
const reported = { inputTokens: 31, outputTokens: 2, source: 'reported' };

/** The next answer: these pieces, then what `after` does. */
function answerWith(pieces: readonly string[], after: (response: ServerResponse) => void): void {
  own.standin.answerNext('/v1/chat/completions', (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const piece of pieces) response.write(piece);
    after(response);
  });
}

function usageIn(events: readonly ModelEvent[]): unknown {
  const last = events.at(-1);
  return last?.type === 'done' ? last.usage : null;
}

const finished = (response: ServerResponse): void => void response.end();
const open = (): void => undefined;

test('usage after the finish reason, beside it, or before it counts', async () => {
  const beside = finish.replace('}\n\n', ',"usage":{"prompt_tokens":31,"completion_tokens":2}}\n\n');
  for (const pieces of [
    [finish, usage, mark],
    [beside, mark],
    [usage, finish, mark],
  ]) {
    answerWith([...texts, ...pieces], finished);
    assert.equal(usageIn(await collected(own.subject, {})), reported, pieces.join(''));
  }
});

test('without usage it is estimated, and the answer stands', async () => {
  const nothing = finish.replace('}\n\n', ',"usage":null}\n\n');
  for (const pieces of [[finish, mark], [finish], [nothing, mark]]) {
    answerWith([...texts, ...pieces], finished);
    const events = await collected(own.subject, {});
    assert.is(textOf(events), ' half it');
    assert.equal(usageIn(events), estimated);
  }
});

test('a connection that breaks, or an error, after the finish reason takes only the usage', async () => {
  answerWith([...texts, finish], (response) => setTimeout(() => response.socket?.resetAndDestroy(), 20));
  assert.equal(usageIn(await collected(own.subject, {})), estimated);
  answerWith([...texts, finish, openAiProtocol.errorEvent('server_error', 'boom')], finished);
  assert.equal(usageIn(await collected(own.subject, {})), estimated);
});

test('the mark of the end is enough, whether or not the connection is closed after it', async () => {
  answerWith([...texts, finish, mark], open);
  assert.equal(usageIn(await collected(own.subject, {})), estimated);
  await settles({ ...own.subject, working: () => own.standin.working() });
});

test('a server that is silent after the finish reason is waited for no longer than between two chunks', async () => {
  answerWith([...texts, finish], open);
  const deadlines = { firstByteMs: 5_000, chunkMs: 150, totalMs: 15_000 };
  assert.equal(usageIn(await collected(own.subject, { deadlines })), estimated);
});

test(
  'a server that goes on after the finish reason is left after five seconds',
  async () => {
    answerWith([...texts, finish], (response) => {
      const again = setInterval(() => response.write(': still here\n\n'), 20);
      response.once('close', () => clearInterval(again));
    });
    const deadlines = { firstByteMs: 50_000, chunkMs: 50_000, totalMs: 100_000 };
    assert.equal(usageIn(await collected(own.subject, { deadlines })), estimated);
  },
  { deadlineMs: 40_000 },
);

test('a cancel while the usage is waited for is a cancel', async () => {
  const stop = new AbortController();
  answerWith([...texts, finish], () => setTimeout(() => stop.abort(), 50));
  assert.is((await failureOf(own.subject, {}, stop.signal)).reason, 'cancelled');
});

test('a refusal beside the text is refused', async () => {
  const chunk = openAiProtocol.event('{"choices":[{"index":0,"delta":{"refusal":"I cannot"},"finish_reason":null}]}');
  answerWith([chunk, finish, usage, mark], finished);
  const last = (await collected(own.subject, {})).at(-1);
  assert.is(last?.type === 'done' ? last.finishReason : '', 'refused');
});

test('content that is no text, and a reason nobody knows, are invalid_output', async () => {
  for (const delta of ['"delta":{"content":7}', '"delta":{},"finish_reason":"constructor"']) {
    answerWith([...texts, openAiProtocol.event(`{"choices":[{"index":0,${delta}}]}`), mark], finished);
    assert.is((await failureOf(own.subject, {})).reason, 'invalid_output', delta);
  }
});

test('what a model thinks is no text', async () => {
  const thought = openAiProtocol.event('{"choices":[{"index":0,"delta":{"reasoning_content":"hm","content":null}}]}');
  answerWith([thought, ...texts, finish, usage, mark], finished);
  assert.is(textOf(await collected(own.subject, {})), ' half it');
});

test('parameters are sent under the names of the protocol; top_k and num_ctx are left out', async () => {
  const format = { type: 'object', properties: { n: { type: 'integer' } } };
  const parameters = { temperature: 1.5, top_p: 0.5, top_k: 5, seed: 7, num_ctx: 512, num_predict: 9, stop: ['END'] };
  await collected(own.subject, { parameters: { ...parameters, format } });
  await collected(own.subject, { parameters: { stop: [], format: 'json' } });
  const [full = {}, bare = {}] = own.standin.chats().map(({ body: { messages: _messages, ...rest } }) => rest);
  assert.equal(full, {
    model: 'river-1',
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: 9,
    temperature: 1.5,
    top_p: 0.5,
    seed: 7,
    stop: ['END'],
    response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: format } },
  });
  assert.equal(bare, {
    model: 'river-1',
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: 1_024,
    response_format: { type: 'json_object' },
  });
});

test('OpenAI itself is sent max_completion_tokens, and no more stop phrases than it takes', async () => {
  const deadlines = { firstByteMs: 1_000, chunkMs: 1_000, totalMs: 1_000 };
  const messages = [{ role: 'user' as const, content: 'x' }];
  const request = { model: 'm', messages, parameters: { num_predict: 9 }, deadlines };
  const body = chatRequest(request, true);
  assert.equal([body.max_completion_tokens, body.max_tokens], [9, undefined]);
  const official = createOpenAiModel({
    baseUrl: 'https://api.openai.com/v1',
    apiKey: 'sk-none',
    clock: wallClock,
    contextTokens: 8_192,
  });
  const parameters = { stop: ['a', 'b', 'c', 'd', 'e'] };
  const failure = await failureOf({ ...own.subject, model: official }, { parameters });
  assert.match(failure.message, /stop phrases/);
  assert.is(failure.retryable, false);
});

test('messages carry role and content in their order, and nothing else', async () => {
  const messages = [
    { role: 'system' as const, content: 'a' },
    { role: 'user' as const, content: 'b', name: 'smuggled' },
    { role: 'user' as const, content: 'c' },
  ];
  for await (const _event of ask(own.subject, { messages }));
  assert.equal(
    own.standin.chats()[0]?.body['messages'],
    messages.map(({ role, content }) => ({ role, content })),
  );
});

test.run();
