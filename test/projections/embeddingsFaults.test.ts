/** Models and stores that fail while texts are embedded: nothing is lost, nothing is there twice, nobody else waits. */
import * as assert from 'uvu/assert';
import type { VectorIndex } from '../../domain/meaning/vectorIndex.ts';
import { Refusal } from '../../domain/refusal.ts';
import { embeddings } from '../../projections/embeddings.ts';
import { readModels } from '../../projections/readModels.ts';
import { createSemanticSearch } from '../../projections/search/semanticSearch.ts';
import { liveIndex } from '../../projections/vectors/indexes.ts';
import { suite } from '../harness.ts';
import { wallClock } from '../standins/wallClock.ts';
import {
  assertWhole,
  closeWorlds,
  embedAll,
  openWorld,
  say,
  startEmbedding,
  storesForTests,
  until,
  type Embedding,
  type World,
} from './embeddingsForTests.ts';
import { startRunner } from './readModelDatabase.ts';

const stores = await storesForTests('faults of embedding');
const test = suite('embeddings when something fails');
test.after.each(closeWorlds);
test.after(async () => void (await Promise.all(stores.map((store) => store.stop()))));
const long = { deadlineMs: 60_000 };
const away = () => new Refusal('unavailable', 'the store is away', { retryable: true });

async function placeOf({ database }: World): Promise<bigint> {
  const row = await database
    .knex('projections')
    .where({ name: embeddings.name, status: 'live' })
    .first<{ position: string } | undefined>('position');
  return BigInt(row?.position ?? 0);
}

/** It is tried, and stays where it is: before the end of the log. */
async function waits(world: World, running: Embedding): Promise<void> {
  const before = running.faults.length;
  await until('it was tried', () => running.faults.length > before);
  const place = await placeOf(world);
  assert.ok(place < (await world.store.head()));
  const [tries, { embedded }] = [running.faults.length, world.embedder];
  await until('it was tried again', () => running.faults.length > tries + 1);
  assert.is(await placeOf(world), place);
  if (world.embedder.away) assert.is(world.embedder.embedded, embedded);
}

for (const store of stores) {
  test(
    `${store.name}: the checkpoint waits for a store that is away, other read models do not`,
    async () => {
      const world = await openWorld(store);
      const { index, database } = world;
      await say(world, 1, 20);
      await embedAll(world);
      world.index = { ...index, put: () => Promise.reject(away()), remove: () => Promise.reject(away()) };
      await say(world, 2, 20);
      const running = await startEmbedding(world);
      const others = await startRunner({ knex: database.knex, store: world.store, projections: readModels });
      const names = readModels.map(({ name }) => name);
      assert.ok(await others.waitFor(await world.store.head(), names, { timeoutMs: 20_000 }));
      await waits(world, running);
      assert.equal(others.faults, []);
      await others.stop();
      world.index = index;
      // What the runner was given is the wrapped one: as another process.
      await running.stop();
      await embedAll(world);
      await assertWhole(world);
    },
    long,
  );

  test(
    `${store.name}: killed between the store and the checkpoint there is neither gap nor double`,
    async () => {
      const world = await openWorld(store);
      const { index } = world;
      let puts = 0;
      const dying = (after: boolean): VectorIndex => ({
        ...index,
        async put(version, objects) {
          puts += 1;
          await index.put(version, after ? objects : objects.slice(0, Math.ceil(objects.length / 2)));
          throw away();
        },
      });
      for (const [i, after] of [true, false].entries()) {
        await say(world, 10 + i, 20);
        world.index = dying(after);
        const [stopping, before] = [await startEmbedding(world), puts];
        await until('it was put', () => puts > before);
        await stopping.stop();
        world.index = index;
        await embedAll(world);
        await assertWhole(world);
      }
    },
    long,
  );

  test(
    `${store.name}: a collection deleted underneath is filled again by itself, and searches say so meanwhile`,
    async () => {
      const world = await openWorld(store);
      const { database, meaning, index, embedder } = world;
      await say(world, 20, 30);
      const running = await startEmbedding(world);
      await running.caughtUp();
      const semantic = createSemanticSearch({ ...meaning, live: () => liveIndex(database.knex), clock: wallClock });
      const search = () =>
        semantic(
          { query: 'word20x1n1', filter: { projects: null }, limit: 5 },
          { signal: new AbortController().signal },
        ).then(
          ({ hits }) => hits.length,
          (error: unknown) => {
            assert.instance(error, Refusal);
            assert.is((error as Refusal).code, 'unavailable');
            return 0;
          },
        );
      assert.ok((await search()) > 0);
      // Idle, then with news.
      for (const news of [false, true]) {
        const before = embedder.embedded;
        await index.drop(1);
        if (news) await say(world, 21, 20);
        await until('it is found again', async () => (await search()) > 0 && embedder.embedded > before);
        await until('all are embedded again', async () => (await placeOf(world)) === (await world.store.head()));
        await assertWhole(world);
      }
      await running.stop();
    },
    long,
  );
}

for (const store of stores.slice(0, 1))
  test(
    'a model that is away lets texts wait; it comes back, and all are embedded',
    async () => {
      const world = await openWorld(store);
      await say(world, 30, 20);
      const running = await startEmbedding(world);
      await running.caughtUp();
      world.embedder.away = true;
      await say(world, 31, 20);
      await waits(world, running);
      world.embedder.away = false;
      await running.caughtUp();
      await running.stop();
      await assertWhole(world);
    },
    long,
  );

test.run();
