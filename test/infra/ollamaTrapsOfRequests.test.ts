/** The traps of Ollama that lie in what is sent, and in what it says of a model. */
import * as assert from 'uvu/assert';
import type { GenerateRequest, ModelParameters } from '../../domain/model.ts';
import { createOllamaModel } from '../../infra/ollama.ts';
import { ollamaParameterIssues } from '../../infra/ollamaParameters.ts';
import { collected, failureOf } from '../contracts/languageModelCalls.ts';
import { suite } from '../harness.ts';
import { ollamaFixture } from '../standins/ollamaFixture.ts';
import { recordedAnswer } from '../standins/ollamaRecordings.ts';
import { wallClock } from '../standins/wallClock.ts';

const test = suite('Ollama traps: requests');
const forever = new AbortController().signal;
const own = ollamaFixture(test);

const sentOptions = () =>
  own.standin.requests
    .filter(({ path }) => path === '/api/chat')
    .map(({ body }) => body['options'] as Record<string, unknown>);
const shown = (model_info: Record<string, unknown>, more: Record<string, unknown> = {}): void => {
  const recorded = recordedAnswer('show: chat model');
  if (!recorded) throw new Error('no such recording');
  const info = recorded.body?.['model_info'] as Record<string, unknown>;
  own.standin.answerNext('/api/show', {
    ...recorded,
    body: { ...recorded.body, ...more, model_info: { ...info, ...model_info } },
  });
};

test('O7: every call says truncate false and shift false', async () => {
  await collected(own.subject, {});
  assert.equal(
    own.standin.chats().map(({ body }) => [body['truncate'], body['shift']]),
    [[false, false]],
  );
});

test('O7: a prompt over the context is promptTooLong, worth another attempt, and not used up', async () => {
  const messages = [{ role: 'user' as const, content: 'word '.repeat(5_000) }];
  const failure = await failureOf(own.subject, { messages });
  assert.is(failure.promptTooLong, true);
  assert.is(failure.retryable, true);
  assert.is(failure.usage, undefined);
});

test('O8: num_ctx is on every call, load included: 4096, or the largest that was asked for', async () => {
  await collected(own.subject, {});
  await collected(own.subject, { parameters: { num_ctx: 6_000 } });
  await collected(own.subject, { parameters: { num_ctx: 512 } });
  await collected(own.subject, {});
  const wanted = [4_096, 4_096, 6_000, 6_000, 6_000, 6_000];
  assert.equal(
    sentOptions().map((options) => options['num_ctx']),
    wanted,
    'one load for each of two contexts',
  );
});

test('O8: num_ctx is never above the trained context', async () => {
  await collected(own.subject, { parameters: { num_ctx: 16_384 } });
  assert.equal(
    sentOptions().map((options) => options['num_ctx']),
    [8_192, 8_192],
  );
  shown({ 'llama.context_length': 2_048 });
  const small = await own.model.describe('smollm2:latest', { signal: forever });
  assert.is(small.contextTokens, 2_048);
  assert.is(small.defaultContextTokens, 2_048);
});

test('O8, O16: every call says how long the model stays', async () => {
  await collected(own.subject, {});
  const stays = own.standin.requests.filter(({ path }) => path === '/api/chat').map(({ body }) => body['keep_alive']);
  assert.equal(stays, ['1800000ms', '1800000ms']);
});

test('O9: what Ollama answers with 500 or passes in silence is not sent', async () => {
  const wrong: unknown[] = [
    { num_predict: 0 },
    { num_predict: -1 },
    { num_predict: '4' },
    { num_predict: 4.9 },
    { temperature: '0' },
    { temperature: -1 },
    { top_p: 2 },
    { top_k: -5 },
    { seed: 2 ** 40 },
    { num_ctx: 1 },
    { stop: 'x' },
    { stop: [1] },
    { nonsense: 1 },
    { format: 'yaml' },
    { format: 5 },
    { format: { type: 'nonsense' } },
    { format: { type: 'object', properties: { n: { type: 'int' } } } },
    { format: { type: 'array', items: { anyOf: [{ type: ['string', 'text'] }] } } },
  ];
  for (const parameters of wrong) {
    assert.ok(ollamaParameterIssues(parameters).length > 0, JSON.stringify(parameters));
    const failure = await failureOf(own.subject, { parameters: parameters as ModelParameters });
    assert.is(failure.reason, 'error');
    assert.is(failure.retryable, false);
  }
  assert.is(own.standin.requests.length, 0);
});

test('O9: a schema that fits is sent as it is', async () => {
  const format = { type: 'object', properties: { n: { type: 'integer' }, s: { enum: ['a', 'b'] } }, required: ['n'] };
  assert.equal(ollamaParameterIssues({ format }), []);
  await collected(own.subject, { parameters: { format } });
  assert.equal(own.standin.chats()[0]?.body['format'], format);
});

test('O9: malformed names and empty prompts are not sent; names are case-blind', async () => {
  for (const name of ['a b', '../x', '', 'a'.repeat(400), 'x:y:z', '-x'])
    assert.is((await failureOf(own.subject, { model: name })).retryable, false, name);
  assert.is((await failureOf(own.subject, { messages: [] })).retryable, false);
  assert.is(own.standin.requests.length, 0);
  assert.is((await own.model.describe('SMOLLM2', { signal: forever })).digest, 'd'.repeat(64));
});

test('O9: an option that is refused with 500 is not tried again', async () => {
  own.standin.fail('wrongOption');
  assert.is((await failureOf(own.subject, {})).retryable, false);
});

test('O10: there is always a limit', async () => {
  await collected(own.subject, { parameters: {} });
  assert.is(sentOptions().at(-1)?.['num_predict'], 512);
});

test("O10: our stop phrases come with the model's own, and no empty list replaces them", async () => {
  await collected(own.subject, { parameters: { stop: ['END'] } });
  await collected(own.subject, { parameters: { stop: [] } });
  assert.equal(
    sentOptions().map((options) => options['stop']),
    [undefined, ['END', '<|im_end|>', '<|im_start|>'], undefined],
  );
});

test("O11: control tokens are found in the template and in the model's vocabulary", async () => {
  const tokens = ['<|endoftext|>', '<|im_start|>', 'hello', '<repo_name>', '<|reserved_special_token_7|>', ' '];
  shown({ 'tokenizer.ggml.tokens': tokens, 'tokenizer.ggml.token_type': [3, 3, 1, 3, 3, 3] });
  const { controlTokens } = await own.model.describe('smollm2', { signal: forever });
  assert.equal(
    controlTokens,
    ['<|im_end|>', '<|im_start|>', '<repo_name>', '<|endoftext|>'].sort((a, b) => order(a) - order(b)),
  );
  assert.is(own.standin.requests.find(({ path }) => path === '/api/show')?.body['verbose'], true);
});

/** The template's first, then the vocabulary's, each sorted. */
function order(token: string): number {
  return ['<|im_end|>', '<|im_start|>', '<repo_name>', '<|endoftext|>'].indexOf(token);
}

test('O11: tokens of other families are found in their templates', async () => {
  const template =
    '[INST] <<SYS>>{{ .System }}<</SYS>> [/INST]</s><start_of_turn>user<end_of_turn><｜User｜>{{ if .Tools }}a<b{{ end }}';
  shown({}, { template, parameters: '' });
  const { controlTokens } = await own.model.describe('smollm2', { signal: forever });
  for (const token of [
    '[INST]',
    '[/INST]',
    '<<SYS>>',
    '<</SYS>>',
    '</s>',
    '<start_of_turn>',
    '<end_of_turn>',
    '<｜User｜>',
  ])
    assert.ok(controlTokens.includes(token), token);
});

test('O12: messages carry role and content, and nothing else', async () => {
  const smuggled = {
    role: 'user',
    content: 'look',
    images: ['package.json'],
    name: 'x',
  } as GenerateRequest['messages'][number];
  await collected(own.subject, { messages: [smuggled] });
  assert.equal(own.standin.chats()[0]?.body['messages'], [{ role: 'user', content: 'look' }]);
  assert.is(own.standin.chats()[0]?.body['tools'], undefined);
});

test('O12: a model that thinks is told not to; another is not asked about it', async () => {
  await collected(own.subject, {});
  assert.is('think' in (own.standin.chats()[0]?.body ?? {}), false);
  shown({}, { capabilities: ['completion', 'thinking'] });
  await collected(own.subject, { model: 'smollm2:135m' });
  assert.is(own.standin.chats()[1]?.body['think'], false);
});

test('O18: a model that makes vectors only is not asked to chat', async () => {
  const failure = await failureOf(own.subject, { model: 'minilm' });
  assert.is(failure.retryable, false);
  assert.is(own.standin.chats().length, 0);
});

test('O19: base URLs that cannot work are refused', async () => {
  for (const baseUrl of ['', 'name', 'localhost:11434', 'ftp://x', 'http://user:pw@name:11434'])
    assert.throws(() => createOllamaModel({ baseUrl, clock: wallClock }), /base URL/);
  for (const path of ['', '/', '//']) {
    const other = createOllamaModel({ baseUrl: `${own.standin.url}${path}`, clock: wallClock });
    assert.is(await other.reachable(), true);
  }
  assert.ok(own.standin.requests.every(({ path }) => path === '/api/version'));
});

test('what is known of a model is asked once for all, and again when its digest has changed', async () => {
  const clock = { ...wallClock, aheadMs: 0, monotonic: () => performance.now() + clock.aheadMs };
  const aged = createOllamaModel({ baseUrl: own.standin.url, clock });
  const shows = () => own.standin.requests.filter(({ path }) => path === '/api/show').length;
  await Promise.all([1, 2, 3].map(() => aged.describe('smollm2', { signal: forever })));
  assert.is(shows(), 1);
  clock.aheadMs = 61_000;
  await aged.describe('smollm2', { signal: forever });
  assert.is(shows(), 1, 'the same digest');
  clock.aheadMs = 130_000;
  own.standin.answerNext('/api/tags', {
    status: 200,
    body: { models: [{ name: 'smollm2:latest', digest: 'another' }] },
  });
  assert.is((await aged.describe('smollm2', { signal: forever })).digest, 'another');
  assert.is(shows(), 2);
  aged.close();
});

test.run();
