/** What all embedders share, over a source in memory: the gate, the batches, whom a failure blames. */
import * as assert from 'uvu/assert';
import { Refusal } from '../../domain/refusal.ts';
import { checkedVectors, createEmbedder, type VectorSource } from '../../infra/modelVectors.ts';
import { embedderContract } from '../contracts/embedder.ts';
import { refusalOf } from '../contracts/modelLibrary.ts';
import { suite } from '../harness.ts';
import { STANDIN_DIMENSIONS, standinVector } from '../standins/embeddings.ts';

const source: VectorSource = {
  label: 'the test',
  batch: 8,
  describe: async () => ({ name: 'test', digest: null, dimensions: null }),
  async ask(texts) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    return texts.map(standinVector);
  },
  blamesText: (error) => error instanceof RangeError,
  refusalOf: () => new Refusal('invalid', 'the model is none'),
  close: async () => undefined,
};

embedderContract(
  'what they share, over a source in memory',
  async () => ({
    embedder: createEmbedder(source),
    name: 'test',
    dimensions: STANDIN_DIMENSIONS,
    open: () => createEmbedder(source),
    stop: async () => undefined,
  }),
  {
    meaning: 'its vectors come of hashes',
    tooLong: 'each source has its own limit',
    cannotEmbed: 'each source finds out in its own way',
    absent: 'there is no server',
    counting: 'there are no requests',
    faults: 'there is no server',
  },
);

const test = suite('What embedders share');
const forever = { signal: new AbortController().signal };

test('one batch at a time, calls in turns, so that a short call waits for no long one', async () => {
  const order: string[] = [];
  let most = 0;
  let now = 0;
  const embedder = createEmbedder({
    ...source,
    batch: 2,
    async ask(texts, signal) {
      order.push(texts[0] ?? '');
      most = Math.max(most, ++now);
      return await source.ask(texts, signal).finally(() => (now -= 1));
    },
  });
  await embedder.describe(forever);
  const long = embedder.embed(['a1', 'a2', 'b1', 'b2', 'c1', 'c2'], forever);
  await Promise.all([long, embedder.embed(['short'], forever)]);
  assert.is(most, 1);
  assert.equal(order.slice(1), ['a1', 'short', 'b1', 'c1']);
});

test('who gives up leaves at once, and the next one waits until the model has stopped', async () => {
  let finish = (): void => undefined;
  const embedder = createEmbedder({
    ...source,
    ask: (texts) =>
      texts[0] === 'stuck'
        ? new Promise((resolve) => (finish = () => resolve([standinVector('stuck')])))
        : Promise.resolve(texts.map(standinVector)),
  });
  await embedder.describe(forever);
  const stop = new AbortController();
  const stuck = embedder.embed(['stuck'], { signal: stop.signal }).catch((error: unknown) => error);
  await new Promise(setImmediate);
  stop.abort(new Error('mine'));
  assert.match(String(await stuck), /mine/);
  let answered = false;
  const next = embedder.embed(['next'], forever).then(() => (answered = true));
  await new Promise(setImmediate);
  assert.is(answered, false);
  finish();
  await next;
});

test('too many that wait are refused, and may come again', async () => {
  const embedder = createEmbedder({ ...source, ask: () => new Promise(() => undefined) });
  const stop = new AbortController();
  const waiting = Array.from({ length: 257 }, () => embedder.describe({ signal: stop.signal }).catch(() => undefined));
  await new Promise(setImmediate);
  const refusal = await refusalOf(embedder.describe(forever));
  assert.equal([refusal.code, refusal.retryable], ['unavailable', true]);
  stop.abort();
  await Promise.all(waiting);
});

test('a failure blames a text only where the source does', async () => {
  const failing = (error: Error) => createEmbedder({ ...source, ask: () => Promise.reject(error) });
  const known = { ...source, describe: async () => ({ name: 'test', digest: null, dimensions: 3 }) };
  const embedding = (error: Error) => createEmbedder({ ...known, ask: () => Promise.reject(error) });
  assert.is((await refusalOf(failing(new Error('x')).describe(forever))).code, 'invalid');
  assert.is((await refusalOf(embedding(new Error('x')).embed(['a'], forever))).code, 'unavailable');
  assert.is((await refusalOf(embedding(new RangeError('x')).embed(['a'], forever))).code, 'invalid');
});

test('vectors are made as long as 1; one that points nowhere blames its text', () => {
  assert.equal(checkedVectors('the test', [[3, 4]], 1, null), [[0.6, 0.8]]);
  for (const [answer, code] of [
    [[[0, 0]], 'invalid'],
    [[[1, Number.NaN]], 'unavailable'],
    [[[1, Infinity]], 'unavailable'],
    [[[]], 'unavailable'],
    [{ length: 1, 0: [1, 2] }, 'unavailable'],
    ['ab', 'unavailable'],
    [null, 'unavailable'],
  ] as const)
    assert.throws(
      () => checkedVectors('the test', answer, 1, 2),
      (error: unknown) => error instanceof Refusal && error.code === code,
      JSON.stringify(answer),
    );
});

test.run();
