/** The traps of Anthropic's protocol: roles that must alternate, a usage in two parts, parameters it does not know. */
import * as assert from 'uvu/assert';
import type { GenerateRequest, ModelEvent } from '../../domain/model.ts';
import { messageRequest } from '../../infra/anthropicRequest.ts';
import { collected, failureOf, textOf } from '../contracts/languageModelCalls.ts';
import { suite } from '../harness.ts';
import { anthropicProtocol, anthropicUnderTest } from '../standins/anthropic.ts';
import { sendJson, STANDIN_MODEL } from '../standins/modelServer.ts';
import { modelServerFixture } from '../standins/modelServerFixture.ts';

const test = suite('Anthropic traps');
const own = modelServerFixture(test, anthropicUnderTest);
const { begin, texts } = anthropicProtocol.stream({ texts: [' half', ' it'], ends: 'by itself', promptTokens: 12 });

const named = (event: { type: string; [field: string]: unknown }): string =>
  `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
const ended = (stop_reason: string, usage?: Record<string, unknown>): string =>
  named({ type: 'message_delta', delta: { stop_reason, stop_sequence: null }, ...(usage ? { usage } : {}) });
const started = (usage: Record<string, unknown>): string =>
  named({ type: 'message_start', message: { id: 'm', type: 'message', role: 'assistant', content: [], usage } });

/** What becomes of these events, after which the connection stays open: the stop reason is the end. */
async function answered(pieces: readonly string[]): Promise<ModelEvent[]> {
  own.standin.answerNext('/v1/messages', (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const piece of pieces) response.write(piece);
  });
  return await collected(own.subject, {});
}

const last = (events: readonly ModelEvent[]) => {
  const event = events.at(-1);
  return event?.type === 'done' ? event : null;
};

test('the usage of the end counts, what is cached too; what it leaves out stood at the beginning', async () => {
  const cases: [string, string, unknown][] = [
    [
      started({ input_tokens: 3, output_tokens: 1 }),
      ended('end_turn', { input_tokens: 31, output_tokens: 2 }),
      [31, 2, 'reported'],
    ],
    [started({ input_tokens: 31, output_tokens: 1 }), ended('end_turn', { output_tokens: 2 }), [31, 2, 'reported']],
    [
      started({ input_tokens: 31, output_tokens: 1 }),
      ended('end_turn', { input_tokens: null, output_tokens: 2 }),
      [31, 2, 'reported'],
    ],
    [
      started({ input_tokens: 2, cache_creation_input_tokens: 4, cache_read_input_tokens: 25, output_tokens: 1 }),
      ended('end_turn', { output_tokens: 2 }),
      [31, 2, 'reported'],
    ],
    [started({ input_tokens: 31, output_tokens: 1 }), ended('end_turn'), [12, 2, 'estimated']],
    [begin[0] ?? '', ended('end_turn', { output_tokens: 'two' }), [12, 2, 'estimated']],
  ];
  for (const [first, end, expected] of cases) {
    const usage = last(await answered([first, ...begin.slice(1), ...texts, end]))?.usage;
    assert.equal([usage?.inputTokens, usage?.outputTokens, usage?.source], expected, end);
  }
});

test('every stop reason has its meaning', async () => {
  const usage = { input_tokens: 31, output_tokens: 2 };
  const meanings = {
    end_turn: 'end_turn',
    max_tokens: 'max_tokens',
    model_context_window_exceeded: 'max_tokens',
    stop_sequence: 'stop_phrase',
    refusal: 'refused',
  };
  for (const [reason, meaning] of Object.entries(meanings))
    assert.is(last(await answered([...begin, ...texts, ended(reason, usage)]))?.finishReason, meaning);
  for (const reason of ['tool_use', 'pause_turn', 'constructor']) {
    own.standin.answerNext('/v1/messages', (response) => {
      response
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .end([...begin, ...texts, ended(reason, usage)].join(''));
    });
    const failure = await failureOf(own.subject, {});
    assert.equal([failure.reason, failure.usage?.source], ['invalid_output', 'reported'], reason);
  }
});

test('what a model thinks is no text', async () => {
  const thought = named({ type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'hm' } });
  const events = await answered([...begin, thought, ...texts, ended('end_turn', { output_tokens: 2 })]);
  assert.is(textOf(events), ' half it');
});

test('system messages stand at the head, neighbours of one role are joined, blank ones are left out', async () => {
  const messages: GenerateRequest['messages'] = [
    { role: 'system', content: 'rules' },
    { role: 'user', content: 'one' },
    { role: 'user', content: 'two' },
    { role: 'assistant', content: 'three' },
    { role: 'system', content: 'more rules' },
    { role: 'user', content: ' ' },
    { role: 'user', content: 'four' },
  ];
  await collected(own.subject, { messages });
  const { body = {} } = own.standin.chats()[0] ?? {};
  assert.is(body['system'], 'rules\n\nmore rules');
  assert.equal(body['messages'], [
    { role: 'user', content: 'one\n\ntwo' },
    { role: 'assistant', content: 'three' },
    { role: 'user', content: 'four' },
  ]);
});

test('parameters are sent under the names of the protocol; seed and num_ctx are left out', async () => {
  const parameters = { temperature: 1, top_p: 0.5, top_k: 5, seed: 7, num_ctx: 512, num_predict: 9, stop: ['END'] };
  await collected(own.subject, { parameters });
  await collected(own.subject, { parameters: { stop: [] } });
  const [full = {}, bare = {}] = own.standin
    .chats()
    .map(({ body: { messages: _messages, system: _system, ...rest } }) => rest);
  assert.equal(full, {
    model: 'river-1',
    stream: true,
    max_tokens: 9,
    temperature: 1,
    top_p: 0.5,
    top_k: 5,
    stop_sequences: ['END'],
  });
  assert.equal(bare, { model: 'river-1', stream: true, max_tokens: 1_024 });
});

test('Anthropic itself is sent no sampling parameters, which it refuses', () => {
  const deadlines = { firstByteMs: 1_000, chunkMs: 1_000, totalMs: 1_000 };
  const messages = [{ role: 'user' as const, content: 'x' }];
  const parameters = { temperature: 1.5, top_p: 0.5, top_k: 5, num_predict: 9, stop: ['END'] };
  const body = messageRequest({ model: 'm', messages, parameters, deadlines }, true, null);
  assert.equal(body, { model: 'm', max_tokens: 9, messages, stream: true, stop_sequences: ['END'] });
});

test('a model that can be told not to think is told so, in the way that it takes', async () => {
  const cases = [
    [{ disabled: true, between_tools: false }, { type: 'disabled' }],
    [{ disabled: false, between_tools: true }, { type: 'between_tools' }],
    [{ disabled: false, between_tools: false }, undefined],
    [null, undefined],
  ] as const;
  for (const [ways, expected] of cases) {
    own.use({});
    const types = Object.fromEntries(Object.entries(ways ?? {}).map(([way, supported]) => [way, { supported }]));
    own.standin.answerNext(`/v1/models/${STANDIN_MODEL}`, (response) =>
      sendJson(response, 200, {
        id: STANDIN_MODEL,
        ...(ways && { capabilities: { thinking: { supported: true, types } } }),
      }),
    );
    await own.model.describe(STANDIN_MODEL, { signal: new AbortController().signal });
    await collected(own.subject, {});
    assert.equal(own.standin.chats().at(-1)?.body['thinking'], expected, JSON.stringify(ways));
  }
});

test('a parameter that is refused is named', async () => {
  for (const says of ['`temperature` is deprecated for this model.', 'temperature: Extra inputs are not permitted']) {
    own.standin.answerNext('/v1/messages', (response) =>
      sendJson(response, 400, anthropicProtocol.error('invalid_request_error', says)),
    );
    assert.match((await failureOf(own.subject, {})).message, /refused the parameter temperature/);
  }
});

test('what would be refused, or pass in silence though it changes the answer, is not sent', async () => {
  const user = { role: 'user' as const, content: 'x' };
  const wrong: Partial<GenerateRequest>[] = [
    { parameters: { format: 'json' } },
    { parameters: { format: { type: 'object' } } },
    { parameters: { temperature: 1.1 } },
    { messages: [{ role: 'assistant', content: 'x' }, user] },
  ];
  for (const changes of wrong) {
    const failure = await failureOf(own.subject, changes);
    assert.equal([failure.reason, failure.retryable, failure.usage], ['error', false, undefined]);
  }
  assert.is(own.standin.requests.length, 0);
});

test('every request says which version of the protocol it speaks', async () => {
  await collected(own.subject, {});
  assert.is(own.standin.chats()[0]?.headers['anthropic-version'], '2026-10-21');
});

test.run();
