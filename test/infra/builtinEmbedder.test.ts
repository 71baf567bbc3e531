import * as assert from 'uvu/assert';
import { createBuiltinEmbedder } from '../../infra/builtinEmbedder.ts';
import { MOST_TOKENS, oneLine, partsOf, weightedMean } from '../../infra/builtinParts.ts';
import { createBuiltinThread } from '../../infra/builtinThread.ts';
import { embedderContract } from '../contracts/embedder.ts';
import { refusalOf } from '../contracts/modelLibrary.ts';
import { suite } from '../harness.ts';

embedderContract(
  'the built-in one',
  async () => {
    const embedder = createBuiltinEmbedder();
    return {
      embedder,
      name: 'builtin',
      dimensions: 512,
      // Each of these becomes 18 characters before it is read.
      tooLong: '\ufdfa'.repeat(500),
      open: () => createBuiltinEmbedder(),
      stop: () => embedder.close(),
    };
  },
  {
    cannotEmbed: 'there is one model, which can',
    absent: 'there is no server',
    counting: 'it takes text by text',
    faults: 'there is no server',
  },
);

const test = suite('Built-in embedder');
const forever = { signal: new AbortController().signal };
const slow = { deadlineMs: 240_000 };
const words = (count: number, last: string): string =>
  [...Array.from({ length: count }, (_, i) => ['river', 'stone', 'bread', 'north'][i % 4]), last].join(' ');

test(
  'all of a text counts, also what is behind the 128 tokens that the model reads',
  async () => {
    const embedder = createBuiltinEmbedder();
    const [one = [], other = []] = await embedder.embed([words(300, 'elephant'), words(300, 'money')], forever);
    const cosine = one.reduce((sum, number, at) => sum + number * (other[at] ?? 0), 0);
    assert.ok(cosine < 0.99999 && cosine > 0.5, String(cosine));
    await embedder.close();
  },
  slow,
);

test(
  'a thread that is late is ended, and the next text gets another one',
  async () => {
    const hasty = createBuiltinEmbedder({ textMs: 1 });
    for (let i = 0; i < 2; i++) {
      const refusal = await refusalOf(hasty.embed(['a river'], forever));
      assert.equal([refusal.code, refusal.retryable], ['unavailable', true]);
    }
    await hasty.close();
  },
  slow,
);

test(
  'a thread without work is ended, and started again',
  async () => {
    const thread = createBuiltinThread({ idleMs: 1, textMs: 60_000 });
    const first = thread.vectorOf('a river');
    assert.is(thread.running(), true);
    const vector = await first;
    for (let i = 0; i < 500 && thread.running(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.is(thread.running(), false);
    assert.equal(await thread.vectorOf('a river'), vector);
    await thread.close();
  },
  slow,
);

test('what is described loads nothing', async () => {
  const embedder = createBuiltinEmbedder({ textMs: 1 });
  const { digest } = await embedder.describe(forever);
  assert.match(digest ?? '', /^model-embeddings-en \d+\.\d+\.\d+ p1$/);
  await embedder.close();
});

test('parts have no more tokens than the model reads, and hold all of the text', () => {
  const tokensIn = (part: string): number => Math.ceil(part.length / 4);
  for (const text of [words(2_000, 'end'), 'x'.repeat(5_000), '🐢'.repeat(3_000), `${'y'.repeat(3_000)} z`, 'a b']) {
    const parts = partsOf(text, tokensIn);
    assert.ok(parts.every((part) => tokensIn(part) <= MOST_TOKENS && part.isWellFormed()));
    assert.is(parts.join('').replaceAll(' ', ''), text.replaceAll(' ', ''));
  }
  assert.equal(partsOf('one two', tokensIn), ['one two']);
  assert.is(oneLine('  a\r\n\tb\u00a0c '), 'a b c');
  assert.equal(
    weightedMean(
      [
        [1, 0],
        [0, 1],
      ],
      [3, 1],
    ),
    [3, 1],
  );
});

test.run();
