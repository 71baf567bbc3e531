/** The search by meaning over an index that moves, a model that changes, and both when they fail. */
import * as assert from 'uvu/assert';
import type { Clock } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import { createSemanticSearch } from '../../projections/search/semanticSearch.ts';
import { aHit } from '../domain/meaning/passagesForTests.ts';
import { suite } from '../harness.ts';
import { wallClock } from '../standins/wallClock.ts';
import { fakeEmbedder, fakeIndex, gone, liveOf, stores, type LiveIndex } from './searchParts.ts';

const test = suite('semantic search');
const signal = () => new AbortController().signal;
const wanted = { query: 'Which licence?', filter: { projects: ['default'] }, limit: 3 };
const hits = [aHit()];

/** `live` gives the pointers one after the other, then the last for ever. */
function searching(
  parts: Partial<Parameters<typeof createSemanticSearch>[0]> & { pointers?: (LiveIndex | null)[] } = {},
) {
  const embedder = fakeEmbedder();
  const index = fakeIndex(() => hits);
  const pointers = [...(parts.pointers ?? [liveOf()])];
  const live = () => Promise.resolve((pointers.length > 1 ? pointers.shift() : pointers[0]) ?? null);
  const search = createSemanticSearch({
    live,
    embedder: () => embedder,
    index: stores({ pgvector: index }),
    clock: wallClock,
    ...parts,
  });
  return { search, embedder, index };
}

async function refused(work: Promise<unknown>): Promise<Refusal> {
  const error: unknown = await work.catch((reason: unknown) => reason);
  if (error instanceof Refusal) return error;
  throw new Error('it was not refused', { cause: error });
}

test('the query goes to the model of the live index, its vector and the filter to the store of that version', async () => {
  const named: string[] = [];
  const model = fakeEmbedder(() => [0.6, 0.8]);
  const { search, index } = searching({
    pointers: [liveOf({ version: 7, model: 'ollama:all-minilm' })],
    embedder: (name) => (named.push(name), model),
  });
  assert.equal(await search(wanted, { signal: signal() }), { hits, model: 'ollama:all-minilm' });
  assert.equal(named, ['ollama:all-minilm']);
  assert.equal(model.asked, [['Which licence?']]);
  assert.equal(index.asked, [{ version: 7, vector: [0.6, 0.8], filter: wanted.filter, limit: 3 }]);
});

test('the same query is embedded once for a model, again for another one, and the oldest is forgotten', async () => {
  const pointers = [liveOf(), liveOf(), liveOf({ model: 'ollama:other' }), liveOf()];
  const { search, embedder, index } = searching({ pointers });
  for (let i = 0; i < 4; i += 1) await search(wanted, { signal: signal() });
  assert.is(embedder.asked.length, 2);
  assert.is(index.asked.length, 4);
  for (let i = 0; i < 200; i += 1) await search({ ...wanted, query: `query ${i}` }, { signal: signal() });
  await search(wanted, { signal: signal() });
  assert.is(embedder.asked.length, 203);
});

test('a query longer than a model takes is embedded part by part; their mean, of length 1, stands for it', async () => {
  const embedder = fakeEmbedder((text) => (text.startsWith('Which') ? [1, 0] : [0, 1]));
  const { search, index } = searching({ embedder: () => embedder });
  await search(
    { ...wanted, query: `Which licence? ${'It is about patents and trade marks. '.repeat(50)}` },
    { signal: signal() },
  );
  const parts = embedder.asked[0] ?? [];
  assert.ok(parts.length > 1);
  const vector = index.asked[0]?.vector ?? [];
  assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-9);
  assert.ok(Math.abs((vector[1] ?? 0) / (vector[0] ?? 1) - (parts.length - 1)) < 1e-9);
});

test('a version that was swapped and dropped since the pointer was read: the new one answers, with its own model', async () => {
  const named: string[] = [];
  const index = fakeIndex((version) => (version === 1 ? gone() : hits));
  const { search } = searching({
    pointers: [liveOf(), liveOf({ version: 2, model: 'ollama:other' })],
    index: stores({ pgvector: index }),
    embedder: (name) => (named.push(name), fakeEmbedder()),
  });
  assert.equal(await search(wanted, { signal: signal() }), { hits, model: 'ollama:other' });
  assert.equal(named, ['builtin', 'ollama:other']);
});

test('a collection that was deleted underneath: unavailable, with what to do, after one more look', async () => {
  const index = fakeIndex(gone);
  const { search } = searching({ index: stores({ pgvector: index }) });
  const error = await refused(search(wanted, { signal: signal() }));
  assert.is(error.code, 'unavailable');
  assert.match(error.message, /filled again.*projections rebuild embeddings/);
  assert.is(index.asked.length, 2);
});

test('a model of the same name with other weights or dimensions is not asked', async () => {
  for (const described of [{ digest: 'sha256:2' }, { digest: null }, { dimensions: 3 }]) {
    const embedder = fakeEmbedder(undefined, described);
    const { search, index } = searching({ embedder: () => embedder });
    const error = await refused(search(wanted, { signal: signal() }));
    assert.equal([error.code, error.retryable], ['unavailable', false]);
    assert.match(error.message, /projections rebuild embeddings/);
    assert.equal([embedder.asked, index.asked], [[], []]);
  }
});

test('no index yet: unavailable for now; a store that cannot be used says itself why', async () => {
  const none = { pointers: [null] };
  const yet = await refused(searching(none).search(wanted, { signal: signal() }));
  assert.match(yet.message, /no vectors yet.*projections list/);
  assert.is(yet.retryable, true);
  const missing = fakeIndex(undefined, () => {
    throw new Refusal('unavailable', 'install pgvector', { retryable: false });
  });
  for (const index of [stores({ pgvector: missing }), stores({ pgvector: fakeIndex(), weaviate: missing })]) {
    const why = await refused(searching({ ...none, index }).search(wanted, { signal: signal() }));
    assert.equal([why.message, why.retryable], ['install pgvector', false]);
  }
  const both = stores({ pgvector: missing, weaviate: fakeIndex() });
  assert.match(
    (await refused(searching({ ...none, index: both }).search(wanted, { signal: signal() }))).message,
    /yet/,
  );
});

test('a model or a store that is not set up any more, and their refusals, are told as they are', async () => {
  const parts = [
    { embedder: () => away('there is no such model') },
    { embedder: () => fakeEmbedder(() => away('there is no such model')) },
    { index: stores({}) },
    { index: stores({ pgvector: fakeIndex(() => away('the store is away')) }) },
  ];
  for (const each of parts) {
    const error = await refused(searching(each).search(wanted, { signal: signal() }));
    assert.is(error.code, 'unavailable');
    assert.match(error.message, /no such model|not set up|is away/);
  }
});

function away(detail: string): never {
  throw new Refusal('unavailable', detail);
}

test('a model and a store that never answer are left after their time, and told to stop', async () => {
  for (const late of ['model', 'store']) {
    let stopped: AbortSignal | null = null;
    let asked = (): void => undefined;
    const begun = new Promise<void>((resolve) => (asked = resolve));
    const hang = (given: AbortSignal): Promise<never> => {
      stopped = given;
      asked();
      return new Promise(() => undefined);
    };
    const clock = clockByHand();
    const { search } = searching({
      clock,
      ...(late === 'model' ? { embedder: () => fakeEmbedder((_text, given) => hang(given)) } : {}),
      ...(late === 'store' ? { index: stores({ pgvector: fakeIndex((_version, given) => hang(given)) }) } : {}),
    });
    const error = refused(search(wanted, { signal: signal() }));
    await begun;
    clock.lapse();
    assert.match((await error).message, new RegExp(`the .*${late === 'model' ? 'model' : 'store'} .*did not answer`));
    assert.is((stopped as AbortSignal | null)?.aborted, true);
  }
});

test('who leaves ends the search with their own reason', async () => {
  const leaving = new AbortController();
  const { search } = searching({
    embedder: () => fakeEmbedder(() => (leaving.abort(new Error('left')), new Promise(() => undefined))),
  });
  try {
    await search(wanted, { signal: leaving.signal });
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).message, 'left');
  }
});

/** Time stands still until `lapse` ends every sleep. */
function clockByHand(): Clock & { lapse(): void } {
  const sleeping = new Set<() => void>();
  return {
    ...wallClock,
    sleep: (_ms, given) =>
      new Promise((resolve) => {
        if (given?.aborted === true) return resolve();
        sleeping.add(resolve);
        given?.addEventListener('abort', () => (sleeping.delete(resolve), resolve()), { once: true });
      }),
    lapse: () => sleeping.forEach((wake) => wake()),
  };
}

test.run();
