/** An index belongs to its model: others never write to it, and what belongs to no version is dropped. */
import * as assert from 'uvu/assert';
import { Refusal } from '../../domain/refusal.ts';
import { liveIndex } from '../../projections/vectors/indexes.ts';
import { differsFrom } from '../../projections/vectors/versions.ts';
import { suite } from '../harness.ts';
import { aPassage } from '../contracts/samplePassages.ts';
import {
  assertWhole,
  closeWorlds,
  embedAll,
  openWorld,
  say,
  startEmbedding,
  storesForTests,
  until,
} from './embeddingsForTests.ts';
import { vectorOf, wordEmbedder } from './wordEmbedder.ts';

const stores = await storesForTests('models of an index');
const test = suite('the model of an index');
test.after.each(closeWorlds);
test.after(async () => void (await Promise.all(stores.map((store) => store.stop()))));
const long = { deadlineMs: 60_000 };
const spec = { model: 'builtin', digest: 'sha256:1', dimensions: 8, chunker: 'c1' };

for (const store of stores) {
  test(
    `${store.name}: another model under the same name writes nothing, and it is said what to do`,
    async () => {
      const world = await openWorld(store);
      await say(world, 1, 30);
      await embedAll(world);
      await assertWhole(world);
      await say(world, 2, 20);
      for (const model of [{ digest: 'sha256:2' }, { digest: null }, { dimensions: 32 }]) {
        const other = wordEmbedder(model);
        const running = await startEmbedding(world, { embedder: () => other });
        await until('it was tried', () => running.faults.length > 1);
        assert.ok(await running.isStuck());
        await running.stop();
        for (const fault of running.faults) {
          assert.instance(fault, Refusal);
          assert.match((fault as Refusal).message, /another builtin .*colloquy projections rebuild embeddings/);
        }
        assert.is(other.embedded, 0);
      }
      await embedAll(world);
      await assertWhole(world);
    },
    long,
  );

  test(
    `${store.name}: collections that belong to no version are dropped, also one of the same number`,
    async () => {
      const world = await openWorld(store);
      const { index, database } = world;
      for (const version of [1, 7]) await index.create(version, spec);
      await index.put(1, [{ passage: aPassage('left over'), vector: vectorOf('left over', 8) }]);
      await database.knex('vector_indexes').insert({ version: 7, store: store.name, ...spec });
      await say(world, 3, 30);
      const running = await startEmbedding(world);
      await running.caughtUp();
      await until('it is dropped', async () => (await index.versions()).length === 1);
      await running.stop();
      assert.equal(await index.versions(), [1]);
      assert.is((await database.knex('vector_indexes')).length, 1);
      await assertWhole(world);
    },
    long,
  );
}

for (const store of stores.slice(0, 1))
  test(
    'another EMBEDDER leaves the live index to its own model, and says that it should be rebuilt',
    async () => {
      const world = await openWorld(store);
      await say(world, 4, 30);
      await embedAll(world);
      const other = wordEmbedder({ name: 'ollama:other', dimensions: 32 });
      const meaning = {
        embedder: (name: string) => (name === 'ollama:other' ? other : world.embedder),
        wanted: { model: 'ollama:other', store: store.name },
      };
      await say(world, 5, 20);
      const { faults } = await embedAll(world, meaning);
      assert.equal([faults, other.embedded], [[], 0]);
      await assertWhole(world);
      const live = await liveIndex(world.database.knex);
      assert.ok(live);
      assert.is(differsFrom(live, world.meaning), null);
      assert.match(differsFrom(live, meaning) ?? '', /made by builtin, EMBEDDER says ollama:other/);
      const weaviate = { wanted: { model: 'builtin', store: 'weaviate' as const } };
      assert.match(differsFrom(live, weaviate) ?? '', /stands in pgvector/);
      assert.match(differsFrom({ ...live, chunker: 'c0' }, world.meaning) ?? '', /cut by chunker c0/);
    },
    long,
  );

test.run();
