/** The contract of the `Embedder` port: every provider's adapter passes it. */
import * as assert from 'uvu/assert';
import { suite, type Suite } from '../harness.ts';
import {
  type EmbedderSubject,
  flood,
  forever,
  fruit,
  type Given,
  isVector,
  login,
  many,
  near,
  same,
  slow,
} from './embedderCalls.ts';
import { absent, cannotEmbed, counting, faults, tooLong } from './embedderFailures.ts';
import { refusalOf } from './modelLibrary.ts';

/** Cases that a subject cannot be asked for, each with the reason, which the run prints. */
export type EmbedderWithout = Partial<
  Record<'meaning' | 'tooLong' | 'cannotEmbed' | 'absent' | 'counting' | 'faults', string>
>;

const odd = [
  '🐢🦊🌊',
  'שלום עולם, مرحبا بالعالم',
  '日本語のテキストです。',
  'e\u0301\u0301\u0301 n\u0303 \u200d\u200d',
  '\u0001\u0007\u001b[31m',
  `"quotes" {braces} <|im_end|> '; drop table x; -- \\`,
  'w'.repeat(400),
  '!'.repeat(100),
  'line\n\n\tand tab\r\n',
  'a',
];

/** Runs the whole contract against what `make` gives, `without` what it cannot be asked for. */
export function embedderContract(
  name: string,
  make: () => Promise<EmbedderSubject>,
  without: EmbedderWithout = {},
): void {
  const test = suite(`Embedder: ${name}`);
  let subject: EmbedderSubject | undefined;
  test.before(async () => {
    subject = await make();
  });
  test.after(async () => await subject?.stop());
  const given: Given = () => {
    if (!subject) throw new Error('there is no subject');
    return subject;
  };
  vectors(test, given);
  refusals(test, given);
  endings(test, given);
  const cases = { meaning, tooLong, cannotEmbed, absent, counting, faults };
  for (const [which, add] of Object.entries(cases) as [keyof typeof cases, typeof meaning][]) {
    const reason = without[which];
    if (reason === undefined) add(test, given);
    else console.log(`left out of the Embedder contract of ${name}: ${which}, ${reason}`);
  }
  test.run();
}

function vectors(test: Suite, given: Given): void {
  test(
    'a model is described, the second time from memory',
    async () => {
      const { embedder, name, dimensions } = given();
      const described = await embedder.describe(forever);
      assert.equal([described.name, described.dimensions], [name, dimensions]);
      assert.ok(described.digest === null || described.digest.length > 8);
      const asked = given().asked?.();
      assert.equal(await embedder.describe(forever), described);
      assert.is(given().asked?.(), asked);
    },
    slow,
  );

  test(
    'each text has its vector, in order, of length 1, and the same text the same one',
    async () => {
      const { embedder, dimensions } = given();
      const three = await embedder.embed([fruit, login, fruit], forever);
      assert.is(three.length, 3);
      for (const vector of three) isVector(vector, dimensions);
      same(three[0], three[2]);
      assert.ok(near(three[0], three[1]) < 0.95);
      const [alone] = await embedder.embed([login], forever);
      same(alone, three[1]);
      assert.equal(await embedder.embed([login], forever), [alone]);
    },
    slow,
  );

  test('no texts have no vectors', async () => {
    assert.equal(await given().embedder.embed([], forever), []);
  });

  test(
    'more texts than a batch come in order',
    async () => {
      const { embedder } = given();
      const all = await embedder.embed(many, forever);
      assert.is(all.length, many.length);
      for (const at of [0, 17, 19]) same((await embedder.embed([many[at] ?? ''], forever))[0], all[at]);
    },
    slow,
  );

  test(
    'odd texts have vectors too',
    async () => {
      const { embedder, dimensions } = given();
      for (const vector of await embedder.embed(odd, forever)) isVector(vector, dimensions);
    },
    slow,
  );

  test(
    'calls at the same time each get their own vectors',
    async () => {
      const { embedder } = given();
      const texts = many.slice(0, 6);
      const alone = await embedder.embed(texts, forever);
      const both = await Promise.all(texts.map((text) => embedder.embed([text, text], forever)));
      both.forEach((pair, at) => pair.forEach((vector) => same(vector, alone[at])));
    },
    slow,
  );
}

function refusals(test: Suite, given: Given): void {
  test(
    'a blank text is invalid, and the others can be had one by one',
    async () => {
      const { embedder, dimensions } = given();
      for (const blank of ['', ' ', '\n\t', '\u00a0\ufeff']) {
        const refusal = await refusalOf(embedder.embed([fruit, blank, login], forever));
        assert.equal([refusal.code, refusal.retryable], ['invalid', false]);
      }
      for (const text of [fruit, login]) isVector((await embedder.embed([text], forever))[0], dimensions);
    },
    slow,
  );
}

function meaning(test: Suite, given: Given): void {
  test(
    'what is meant is nearer than what is not',
    async () => {
      const [about, ...texts] = await given().embedder.embed(['fruit and nutrition', login, fruit, flood], forever);
      const scores = texts.map((vector) => near(about, vector));
      assert.is(scores.indexOf(Math.max(...scores)), 1, String(scores));
    },
    slow,
  );
}

async function reasonOf(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    () => 'it was not rejected',
    (reason: unknown) => reason,
  );
}

function endings(test: Suite, given: Given): void {
  test('a signal that is aborted already rejects with its reason and asks nothing', async () => {
    const { embedder, asked } = given();
    const before = asked?.();
    const mine = new Error('mine');
    assert.is(await reasonOf(embedder.embed([fruit], { signal: AbortSignal.abort(mine) })), mine);
    assert.is(await reasonOf(embedder.describe({ signal: AbortSignal.abort(mine) })), mine);
    assert.is(asked?.(), before);
  });

  test(
    'an abort on the way rejects with its reason, soon, and the next call is answered',
    async () => {
      const { embedder, dimensions, working } = given();
      const texts = Array.from({ length: 20 }, () => many).flat();
      for (const afterMs of [0, 20]) {
        const stop = new AbortController();
        const mine = new Error('mine');
        const work = reasonOf(embedder.embed(texts, { signal: stop.signal }));
        if (afterMs > 0) await new Promise((resolve) => setTimeout(resolve, afterMs));
        stop.abort(mine);
        const from = performance.now();
        assert.is(await work, mine);
        assert.ok(performance.now() - from < 5_000);
      }
      for (let i = 0; i < 200 && (working?.() ?? 0) > 0; i++) await new Promise((resolve) => setTimeout(resolve, 10));
      assert.is(working?.() ?? 0, 0, 'the provider works on');
      isVector((await embedder.embed([fruit], forever))[0], dimensions);
    },
    slow,
  );

  test(
    'an abort of one call leaves the others alone',
    async () => {
      const { embedder, dimensions } = given();
      const stop = new AbortController();
      const left = reasonOf(embedder.embed(many, { signal: stop.signal }));
      const other = embedder.embed([login], forever);
      const waiting = reasonOf(embedder.embed([flood], { signal: stop.signal }));
      stop.abort(new Error('mine'));
      assert.match(String(await left), /mine/);
      assert.match(String(await waiting), /mine/);
      isVector((await other)[0], dimensions);
    },
    slow,
  );

  test(
    'closing ends what is under way, and nothing is embedded after it',
    async () => {
      const own = given().open();
      const work = refusalOf(own.embed(many, forever));
      await own.close();
      assert.is((await work).code, 'unavailable');
      assert.is((await refusalOf(own.embed([fruit], forever))).code, 'unavailable');
      await own.close();
    },
    slow,
  );
}
