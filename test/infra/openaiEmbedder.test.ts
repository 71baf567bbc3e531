import * as assert from 'uvu/assert';
import { createOpenAiEmbedder, type OpenAiEmbedderOptions } from '../../infra/openaiEmbedder.ts';
import { embedderContract } from '../contracts/embedder.ts';
import { refusalOf } from '../contracts/modelLibrary.ts';
import { suite } from '../harness.ts';
import { ollamaForTests } from '../services.ts';
import {
  type EmbeddingsStandin,
  STANDIN_CHARACTERS,
  STANDIN_DIMENSIONS,
  standinVector,
  startEmbeddingsStandin,
} from '../standins/embeddings.ts';
import { until } from '../standins/ollamaFixture.ts';
import { wallClock } from '../standins/wallClock.ts';

const KEY = 'sk-of-the-test-0123456789';
const short = { connectMs: 1_000, firstByteMs: 500, chunkMs: 500, totalMs: 2_000 };
const nowhere = 'http://127.0.0.1:9/v1';

embedderContract(
  'OpenAI adapter, stand-in',
  async () => {
    const standin = await startEmbeddingsStandin();
    standin.delays.batchMs = 5;
    const open = (model: string, baseUrl = `${standin.url}/v1`) =>
      createOpenAiEmbedder({ baseUrl, apiKey: KEY, clock: wallClock, model, limits: short });
    const embedder = open('minilm');
    return {
      embedder,
      name: 'openai:minilm',
      dimensions: STANDIN_DIMENSIONS,
      tooLong: 'w'.repeat(STANDIN_CHARACTERS + 1),
      open: () => open('minilm'),
      cannotEmbed: open('smollm2'),
      absent: [open('rec-none'), open('minilm', nowhere)],
      asked: () => standin.requests.length,
      working: () => standin.working(),
      fail: (fault) => standin.fail(fault),
      stop: async () => {
        await embedder.close();
        await standin.stop();
      },
    };
  },
  { meaning: 'its vectors come of hashes' },
);

const real = await ollamaForTests();
if (real === null)
  console.log('left out: the Embedder contract of OpenAI’s protocol on a real Ollama (TEST_OLLAMA_URL is not set)');
else
  embedderContract(
    `OpenAI adapter, ${real.description}, all-minilm`,
    async () => {
      const open = (model: string, baseUrl = `${real.url}/v1`) =>
        createOpenAiEmbedder({ baseUrl, clock: wallClock, model });
      const embedder = open('all-minilm');
      return {
        embedder,
        name: 'openai:all-minilm',
        dimensions: 384,
        open: () => open('all-minilm'),
        absent: [open('rec-none'), open('all-minilm', nowhere)],
        stop: () => embedder.close(),
      };
    },
    {
      tooLong: 'Ollama cuts a text that is too long on this route in silence',
      cannotEmbed: 'Ollama has chat models embed on this route',
      counting: 'a real server counts no calls',
      faults: 'a real server does nothing wrong at our word',
    },
  );

const test = suite('OpenAI embedder traps');
const forever = { signal: new AbortController().signal };
let standin: EmbeddingsStandin;
test.before.each(async () => {
  standin = await startEmbeddingsStandin();
});
test.after.each(() => standin.stop());
const opened = (options: Partial<OpenAiEmbedderOptions> = {}) =>
  createOpenAiEmbedder({
    baseUrl: `${standin.url}/v1`,
    apiKey: KEY,
    clock: wallClock,
    model: 'minilm',
    limits: short,
    ...options,
  });
const row = (text: string, index?: number) => ({
  object: 'embedding',
  embedding: standinVector(text),
  ...(index === undefined ? {} : { index }),
});

test('a model that the server does not have is told with its name and what to set', async () => {
  const refusal = await refusalOf(opened({ model: 'rec-none' }).describe(forever));
  assert.is(refusal.code, 'unavailable');
  assert.match(refusal.message, /does not have the model rec-none: set EMBEDDER/);
});

test('the key stands in its header and nowhere else, and numbers are asked for', async () => {
  await opened().embed(['a'], forever);
  const [request] = standin.embeds();
  assert.is(request?.headers.authorization, `Bearer ${KEY}`);
  assert.equal(Object.keys(request?.body ?? {}).sort(), ['encoding_format', 'input', 'model']);
  assert.is(request?.body['encoding_format'], 'float');
  for (const fault of ['status401', 'status500', 'mute', 'notJson'] as const) {
    standin.fail(fault);
    const refusal = await refusalOf(opened().describe(forever));
    assert.not.match(`${refusal.message} ${JSON.stringify(refusal.cause ?? null)}`, /sk-of|Incorrect|llama runner/);
  }
});

test('an abort closes the connection, which stops the server', async () => {
  const embedder = opened({ limits: { connectMs: 60_000, firstByteMs: 60_000, chunkMs: 60_000, totalMs: 60_000 } });
  await embedder.describe(forever);
  standin.fail('mute');
  const stop = new AbortController();
  const work = embedder.embed(['a'], { signal: stop.signal }).catch(String);
  await until(() => standin.working() === 1);
  stop.abort(new Error('mine'));
  assert.match(String(await work), /mine/);
  await until(() => standin.working() === 0);
  await embedder.close();
});

test('a failure is asked about once: the retries of the SDK are off', async () => {
  const embedder = opened();
  await embedder.describe(forever);
  const before = standin.embeds().length;
  standin.fail('status429');
  await refusalOf(embedder.embed(['a'], forever));
  assert.is(standin.embeds().length, before + 1);
});

test('rows are put in the order of their index; two of the same index are no answer', async () => {
  const embedder = opened();
  const [expected] = await embedder.embed(['a'], forever);
  standin.answerNext({ status: 200, body: { data: [row('b', 1), row('a', 0)] } });
  assert.equal((await embedder.embed(['a', 'b'], forever))[0], expected);
  standin.answerNext({ status: 200, body: { data: [row('a'), row('b')] } });
  assert.equal((await embedder.embed(['a', 'b'], forever))[0], expected);
  standin.answerNext({ status: 200, body: { data: [row('b', 1), row('a', 1)] } });
  assert.is((await refusalOf(embedder.embed(['a', 'b'], forever))).code, 'unavailable');
});

test('a text that is too long is to blame in the words of every server', async () => {
  const embedder = opened();
  await embedder.describe(forever);
  for (const [status, message] of [
    [400, "This model's maximum context length is 8192 tokens, however you requested 9000 tokens"],
    [500, 'input (992 tokens) is too large to process. increase the physical batch size (current batch size: 512)'],
    [413, 'Input validation error: `inputs` must have less than 512 tokens. Given: 600'],
    [413, 'Payload Too Large'],
    [400, 'The response was filtered due to the content_filter policy'],
  ] as const) {
    standin.answerNext({ status, body: { error: { message, type: 'x', param: null, code: null } } });
    assert.is((await refusalOf(embedder.embed(['a'], forever))).code, 'invalid', message);
  }
});

test('a model that a server says cannot embed is invalid to describe', async () => {
  standin.answerNext({ status: 400, body: { error: { message: 'The model does not support Embeddings API' } } });
  const refusal = await refusalOf(opened().describe(forever));
  assert.is(refusal.code, 'invalid');
});

test.run();
