import * as assert from 'uvu/assert';
import { Refusal } from '../../domain/refusal.ts';
import { createOllamaEmbedder, type OllamaEmbedderOptions } from '../../infra/ollamaEmbedder.ts';
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
import { filledIn, recordedAnswer, recordedCases } from '../standins/ollamaRecordings.ts';
import { wallClock } from '../standins/wallClock.ts';

const short = { connectMs: 1_000, firstByteMs: 500, chunkMs: 500, totalMs: 2_000 };
const nowhere = 'http://127.0.0.1:9';

embedderContract(
  'Ollama adapter, stand-in',
  async () => {
    const standin = await startEmbeddingsStandin();
    standin.delays.batchMs = 5;
    const open = (model: string, baseUrl = standin.url) =>
      createOllamaEmbedder({ baseUrl, clock: wallClock, model, limits: short });
    const embedder = open('minilm');
    return {
      embedder,
      name: 'ollama:minilm',
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
if (real === null) console.log('left out: the Embedder contract against a real Ollama (TEST_OLLAMA_URL is not set)');
else
  embedderContract(
    `Ollama adapter, ${real.description}, all-minilm`,
    async () => {
      const open = (model: string, baseUrl = real.url) => createOllamaEmbedder({ baseUrl, clock: wallClock, model });
      const embedder = open('all-minilm');
      return {
        embedder,
        name: 'ollama:all-minilm',
        dimensions: 384,
        tooLong: 'word '.repeat(600),
        open: () => open('all-minilm'),
        cannotEmbed: open('smollm2:135m'),
        absent: [open('rec-none'), open('all-minilm', nowhere)],
        stop: () => embedder.close(),
      };
    },
    { counting: 'a real server counts no calls', faults: 'a real server does nothing wrong at our word' },
  );

const test = suite('Ollama embedder traps');
const forever = { signal: new AbortController().signal };
let standin: EmbeddingsStandin;
test.before.each(async () => {
  standin = await startEmbeddingsStandin();
});
test.after.each(() => standin.stop());
const opened = (options: Partial<OllamaEmbedderOptions> = {}) =>
  createOllamaEmbedder({ baseUrl: standin.url, clock: wallClock, model: 'minilm', limits: short, ...options });

test('O3: a load goes on when the caller gives up, is not cut by the deadline of a batch, and serves the next call', async () => {
  const embedder = opened({ limits: { ...short, firstByteMs: 100, totalMs: 200 } });
  standin.delays.loadMs = 400;
  const stop = new AbortController();
  setTimeout(() => stop.abort(new Error('mine')), 50);
  assert.match(String(await embedder.embed(['a'], { signal: stop.signal }).catch(String)), /mine/);
  await embedder.embed(['a'], forever);
  const loads = standin.requests.filter(({ body }) => Array.isArray(body['input']) && body['input'].length === 0);
  assert.equal(
    loads.map(({ cut }) => cut),
    [false],
  );
  await embedder.close();
});

test('O18: texts go uncut and in batches, and after a failure the model is loaded first', async () => {
  const embedder = opened({ keepAliveMs: 60_000 });
  await embedder.embed(
    Array.from({ length: 9 }, (_, i) => `text ${i}`),
    forever,
  );
  const sent = standin.requests.filter(({ path }) => path === '/api/embed').map(({ body }) => body);
  assert.ok(sent.every((body) => body['truncate'] === false && body['keep_alive'] === '60000ms'));
  assert.equal(
    sent.map(({ input }) => (input as string[]).length),
    [0, 1, 4, 4, 1],
  );
  standin.fail('status500');
  await refusalOf(embedder.embed(['a'], forever)).finally(() => standin.fail(null));
  await embedder.embed(['a'], forever);
  const after = standin.requests.filter(({ path }) => path === '/api/embed').slice(sent.length);
  assert.equal(
    after.map(({ body }) => (body['input'] as string[]).length),
    [1, 0, 1],
  );
  await embedder.close();
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

test('a text for which the arithmetic of the model fails is to blame', async () => {
  const embedder = opened();
  await embedder.describe(forever);
  const body = { error: 'failed to encode response: json: unsupported value: NaN' };
  standin.answerNext({ status: 500, body });
  assert.is((await refusalOf(embedder.embed(['a'], forever))).code, 'invalid');
  await embedder.close();
});

test('another model under the same name is not mixed with the one before', async () => {
  let laterMs = 0;
  const clock = { ...wallClock, monotonic: () => wallClock.monotonic() + laterMs };
  const embedder = opened({ clock });
  assert.is((await embedder.describe(forever)).digest, standin.digest);
  standin.digest = 'e'.repeat(64);
  await embedder.embed(['a'], forever);
  laterMs = 61_000;
  const refusal = await refusalOf(embedder.embed(['a'], forever));
  assert.is(refusal.code, 'unavailable');
  assert.match(refusal.message, /another model/);
  await embedder.close();
});

test('a malformed name is invalid to describe, and nothing is asked', async () => {
  const embedder = opened({ model: '../x y' });
  assert.is((await refusalOf(embedder.describe(forever))).code, 'invalid');
  assert.is((await refusalOf(embedder.embed(['a'], forever))).code, 'unavailable');
  assert.is(standin.requests.length, 0);
});

/** Recorded answers to two texts, and what comes of them. */
const RECORDED: Readonly<Record<string, string>> = {
  'embed: a list of two': '2 vectors',
  'embed: a list with an empty text': '2 vectors',
  'embed: one text': 'unavailable',
  'embed: empty text': 'unavailable',
  'embed: empty list': 'unavailable',
  'embed: no input': 'unavailable',
  'embed: a blank': 'unavailable',
  'embed: a number': 'unavailable',
  'embed: a list with a number': 'unavailable',
  'embed: too long (default: truncate)': 'unavailable',
  'embed: too long, truncate true': 'unavailable',
  'embed: too long, truncate false': 'invalid',
  'embed: a batch with one too long, truncate false': 'invalid',
  'embed: too long, num_ctx 128': 'unavailable',
  'embed: dimensions 64': 'unavailable',
  'embed: dimensions 1000': 'unavailable',
  'embed: dimensions -1': 'unavailable',
  'embed: missing model': 'unavailable',
  'embed: no model': 'unavailable',
  'embed: with the chat model': 'unavailable',
};

/** `<384 numbers>` becomes so many. */
function withNumbers(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withNumbers);
  const count = typeof value === 'string' ? /^<(\d+) numbers>$/.exec(value)?.[1] : undefined;
  return count === undefined ? value : standinVector('x').concat(standinVector('y')).slice(0, Number(count));
}

for (const { name, sent } of recordedCases('ollama').filter(({ sent: { path } }) => path === '/api/embed'))
  test(`recorded: ${name}`, async () => {
    const answer = recordedAnswer(name);
    assert.ok(answer?.body);
    const body = Object.fromEntries(
      Object.entries(answer?.body ?? {}).map(([key, value]) => [key, withNumbers(value)]),
    );
    const embedder = opened();
    await embedder.describe(forever);
    standin.answerNext({ status: answer?.status ?? 200, body: filledIn(body) });
    const outcome = await embedder.embed(['hello world', 'goodbye'], forever).then(
      (vectors) => `${vectors.length} vectors`,
      (error: unknown) => (error instanceof Refusal ? error.code : String(error)),
    );
    assert.is(outcome, RECORDED[name], JSON.stringify(sent));
    await embedder.close();
  });

test.run();
