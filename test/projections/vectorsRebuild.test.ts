/** The index built anew beside the live one, while texts come and searches go on. */
import * as assert from 'uvu/assert';
import { embeddings } from '../../projections/embeddings.ts';
import { forgetVersion } from '../../projections/rebuild/version.ts';
import { createSemanticSearch } from '../../projections/search/semanticSearch.ts';
import { indexOf, liveIndex } from '../../projections/vectors/indexes.ts';
import { suite } from '../harness.ts';
import { embeddedLog } from '../infra/postgresStores.ts';
import { wallClock } from '../standins/wallClock.ts';
import { appendAll } from './events.ts';
import {
  assertWhole,
  closeWorlds,
  embedAll,
  openWorld,
  say,
  startEmbedding,
  storesForTests,
  talk,
  until,
  type World,
} from './embeddingsForTests.ts';
import { statuses } from './rebuildForTests.ts';
import { rebuildVectors } from './vectorsForTests.ts';
import { wordEmbedder } from './wordEmbedder.ts';

const stores = await storesForTests('rebuilding vectors');
const test = suite('rebuild of vectors');
test.after.each(closeWorlds);
test.after(async () => void (await Promise.all(stores.map((store) => store.stop()))));
const long = { deadlineMs: 120_000 };

/** Searches again and again until told to end; each must find something. @returns how many there were. */
function searching({ database, meaning }: World, query: string): () => Promise<number> {
  const search = createSemanticSearch({ ...meaning, live: () => liveIndex(database.knex), clock: wallClock });
  let [over, count] = [false, 0];
  const all = (async () => {
    for (; !over; count += 1) {
      const wanted = { query, filter: { projects: null }, limit: 5 };
      const { hits } = await search(wanted, { signal: new AbortController().signal });
      assert.is(hits.length, 5, `${hits.length} found by search ${count}`);
    }
    return count;
  })();
  all.catch(() => undefined);
  return () => {
    over = true;
    return all;
  };
}

for (const store of stores) {
  test(
    `${store.name}: while texts come no search fails or is empty; going back is instant; what is dropped is gone`,
    async () => {
      const world = await openWorld(store);
      const { index, embedder, database } = world;
      await say(world, 1, 80);
      const running = await startEmbedding(world);
      await running.caughtUp();
      const ended = searching(world, 'word1x1n1 word1x1n2');
      let over = false;
      const writing = (async () => {
        for (const batch of talk(2, 60)) {
          if (over) return;
          await appendAll(world.store, [batch]);
          await running.caughtUp();
        }
      })();
      const built = await rebuildVectors(world);
      over = true;
      await writing;
      assert.equal([built.version, built.previous], [2, 1]);
      assert.equal(await statuses(world, embeddings.name), { 1: 'previous', 2: 'live' });
      assert.ok(built.verified.some(({ table, rows }) => table === 'vectors' && rows > 0));
      await running.caughtUp();
      await assertWhole(world);

      await say(world, 3, 10);
      await running.caughtUp();
      const { embedded } = embedder;
      const back = await rebuildVectors(world, { kind: 'rollback' });
      assert.equal([back.version, await statuses(world, embeddings.name)], [1, { 1: 'live', 2: 'previous' }]);
      assert.ok(embedder.embedded - embedded < 60, 'only what it had not seen is embedded');
      await running.caughtUp();
      await assertWhole(world);
      assert.ok((await ended()) > 3);

      assert.equal(await index.versions(), [1, 2]);
      await forgetVersion(database.knex, embeddings, 2);
      await until('it is forgotten', async () => (await indexOf(database.knex, 2)) === null);
      await until('its collection is dropped', async () => (await index.versions()).length === 1);
      await running.stop();
      await assertWhole(world);
    },
    long,
  );

  test(
    `${store.name}: another model is another version, of its own dimensions`,
    async () => {
      const world = await openWorld(store);
      await say(world, 4, 40);
      await embedAll(world);
      const other = wordEmbedder({ name: 'ollama:other', digest: 'sha256:9', dimensions: 32 });
      const both = { ...world.meaning, embedder: (name: string) => (name === 'ollama:other' ? other : world.embedder) };
      const meaning = { ...both, wanted: { ...world.meaning.wanted, model: 'ollama:other' } };
      const running = await startEmbedding(world, meaning);
      await rebuildVectors(world, { meaning });
      const live = await liveIndex(world.database.knex);
      assert.equal([live?.version, live?.model, live?.digest, live?.dimensions], [2, 'ollama:other', 'sha256:9', 32]);
      await say(world, 5, 10);
      await running.caughtUp();
      await assertWhole({ ...world, embedder: other });
      // The version before has its own model, also when it is caught up.
      await rebuildVectors(world, { meaning, kind: 'rollback' });
      await running.caughtUp();
      await running.stop();
      await assertWhole(world);
    },
    long,
  );

  test(
    `${store.name}: cancelled it keeps its place and goes on from there, with another model from the beginning`,
    async () => {
      const world = await openWorld(store);
      const { embedder } = world;
      await say(world, 6, 400);
      const running = await startEmbedding(world);
      await running.caughtUp();
      const all = embedder.embedded;
      const cancelled = async () => {
        const stopping = new AbortController();
        const before = embedder.embedded;
        const report = () => {
          if (embedder.embedded > before) stopping.abort(new Error('cancelled'));
        };
        const error: unknown = await rebuildVectors(world, { signal: stopping.signal, report }).catch(
          (each: unknown) => each,
        );
        assert.match(String(error), /cancelled/);
        assert.equal(await statuses(world, embeddings.name), { 1: 'live', 2: 'building' });
      };
      await cancelled();
      const place = await world.database.knex('projections').where({ version: 2 }).first<{ position: string }>();
      assert.ok(BigInt(place.position) > 0n);
      const before = embedder.embedded;
      assert.is((await rebuildVectors(world)).version, 2);
      assert.ok(embedder.embedded - before < all + 100, 'not from the beginning: beside it 100 samples at most');
      await running.caughtUp();
      await assertWhole(world);

      await forgetVersion(world.database.knex, embeddings, 1);
      const other = wordEmbedder({ name: 'ollama:other', dimensions: 32 });
      const stopping = new AbortController();
      const report = () => stopping.abort(new Error('cancelled'));
      await rebuildVectors(world, { signal: stopping.signal, report }).catch(() => undefined);
      const meaning = {
        ...world.meaning,
        embedder: (name: string) => (name === 'ollama:other' ? other : embedder),
        wanted: { ...world.meaning.wanted, model: 'ollama:other' },
      };
      await rebuildVectors(world, { meaning });
      await running.stop();
      await embedAll(world, meaning);
      await assertWhole({ ...world, embedder: other });
    },
    long,
  );
}

for (const store of stores.filter(({ name }) => name === 'pgvector'))
  test(
    'on the embedded database',
    async () => {
      const world = await openWorld(store, embeddedLog);
      await say(world, 7, 40);
      await embedAll(world);
      await assertWhole(world);
      await rebuildVectors(world);
      await say(world, 8, 10);
      await embedAll(world);
      await assertWhole(world);
    },
    long,
  );

test.run();
