/** The part of the Embedder contract about what cannot be had: texts, models, servers, answers. */
import * as assert from 'uvu/assert';
import type { Suite } from '../harness.ts';
import { type EmbeddingFault, embeddingFaults } from '../standins/embeddingFaults.ts';
import { forever, fruit, type Given, isVector, login, many, slow } from './embedderCalls.ts';
import { refusalOf } from './modelLibrary.ts';

/** Texts that no model takes. */
export function tooLong(test: Suite, given: Given): void {
  test(
    'a text that is too long is invalid and never cut, and the others can be had one by one',
    async () => {
      const { embedder, dimensions, tooLong: text = '' } = given();
      for (const texts of [[text], [fruit, text, login]]) {
        const refusal = await refusalOf(embedder.embed(texts, forever));
        assert.equal([refusal.code, refusal.retryable], ['invalid', false]);
      }
      isVector((await embedder.embed([login], forever))[0], dimensions);
    },
    slow,
  );
}

/** Models that are none for this. */
export function cannotEmbed(test: Suite, given: Given): void {
  test('a model that cannot embed is invalid to describe, and no text is blamed for it', async () => {
    const { cannotEmbed: embedder } = given();
    if (!embedder) throw new Error('the subject has no such model');
    assert.equal(await codeOf(embedder.describe(forever)), ['invalid', false]);
    assert.equal(await codeOf(embedder.embed([fruit], forever)), ['unavailable', true]);
  });
}

async function codeOf(work: Promise<unknown>): Promise<[string, boolean]> {
  const { code, retryable } = await refusalOf(work);
  return [code, retryable];
}

/** Nothing there. */
export function absent(test: Suite, given: Given): void {
  test(
    'a model or a server that is not there is unavailable',
    async () => {
      for (const embedder of given().absent ?? []) {
        assert.equal(await codeOf(embedder.describe(forever)), ['unavailable', true]);
        assert.equal(await codeOf(embedder.embed([fruit], forever)), ['unavailable', true]);
      }
      assert.ok((given().absent ?? []).length > 0);
    },
    slow,
  );
}

/** What it costs. */
export function counting(test: Suite, given: Given): void {
  test('texts go in batches, not one by one', async () => {
    const { embedder, asked } = given();
    const before = asked?.() ?? 0;
    await embedder.embed(many, forever);
    const calls = (asked?.() ?? 0) - before;
    assert.ok(calls > 1 && calls <= many.length / 4, `${calls} calls`);
  });
}

/** Each fault of the stand-in. */
export function faults(test: Suite, given: Given): void {
  for (const fault of Object.keys(embeddingFaults) as EmbeddingFault[])
    test(`${fault}: unavailable, and the next call is answered`, async () => {
      const { embedder, fail, dimensions } = given();
      await embedder.describe(forever);
      fail?.(fault);
      const refusal = await refusalOf(embedder.embed([fruit, login], forever)).finally(() => fail?.(null));
      assert.equal([refusal.code, refusal.retryable], ['unavailable', true]);
      if (fault === 'status429') assert.is(refusal.retryAfterMs, 7_000);
      isVector((await embedder.embed([fruit], forever))[0], dimensions);
    });

  test('answers that are none describe no model', async () => {
    for (const fault of ['noDimensions', 'nulls', 'oneTooMany', 'status500'] as const) {
      const own = given().open();
      given().fail?.(fault);
      assert.equal(await codeOf(own.describe(forever)).finally(() => given().fail?.(null)), ['unavailable', true]);
      await own.close();
    }
  });
}
