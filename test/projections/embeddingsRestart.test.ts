/** Stores that are started again and have lost some of what they had confirmed: it is noticed, found out and mended. */
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import {
  assertWhole,
  closeWorlds,
  embedAll,
  openWorld,
  say,
  startEmbedding,
  storesForTests,
  until,
  type TestStore,
} from './embeddingsForTests.ts';
import { forgetful } from './vectorsForgetful.ts';
import { diffVectorsNow } from './vectorsForTests.ts';

const stores = (await storesForTests('stores that forget')).slice(0, 1);
const test = suite('embeddings in a store that forgets');
test.after.each(closeWorlds);
test.after(async () => void (await Promise.all(stores.map((store) => store.stop()))));
const long = { deadlineMs: 60_000 };
const some = (passageId: string) => passageId < '6';

async function open(store: TestStore) {
  const world = await openWorld(store);
  const index = forgetful(world.index);
  world.index = index;
  return { world, index };
}

for (const store of stores) {
  test(
    'a restart while nothing is said is noticed and mended, without the model',
    async () => {
      const { world, index } = await open(store);
      await say(world, 1, 60);
      const running = await startEmbedding(world);
      await running.caughtUp();
      const { embedded } = world.embedder;
      for (let round = 0; round < 3; round += 1) {
        const looks = running.audited.length;
        index.restart(some);
        assert.ok(index.lost() > 5);
        await until('it was looked at until nothing was amiss', () => {
          const [first, ...more] = running.audited.slice(looks);
          return (first?.amiss ?? 0) > 5 && more.at(-1)?.amiss === 0;
        });
        assert.is(index.lost(), 0);
      }
      assert.is(world.embedder.embedded, embedded);
      await running.stop();
      await assertWhole(world);
    },
    long,
  );

  test(
    'a restart while nobody embedded is noticed at the next start',
    async () => {
      const { world, index } = await open(store);
      await say(world, 2, 40);
      await embedAll(world);
      index.restart(some);
      const running = await startEmbedding(world);
      await until('it was looked at', () => running.audited.length > 0);
      await running.stop();
      assert.is(index.lost(), 0);
      await assertWhole(world);
    },
    long,
  );

  test(
    'what was confirmed, lost in a restart, and only then got its checkpoint is mended, too',
    async () => {
      const { world, index } = await open(store);
      await say(world, 3, 20);
      const running = await startEmbedding(world);
      await running.caughtUp();
      let put: readonly string[] = [];
      let times = 0;
      index.onPut = (ids) => {
        put = times === 0 ? ids : put;
      };
      // At once after the put was confirmed, and it was still the same start.
      world.index.incarnation = () => {
        const now = index.incarnationNow();
        if (put.length > 0 && times === 0) {
          times += 1;
          index.restart((id) => put.includes(id));
        }
        return Promise.resolve(now);
      };
      await say(world, 4, 20);
      await running.caughtUp();
      await until('nothing is lost', () => index.lost() === 0);
      assert.is(times, 1);
      await until('all was looked at', () => running.audited.length > 0);
      // What was mended is as new: the next start may lose it again.
      const looks = running.audited.length;
      index.restart((id) => put.includes(id));
      await until('it was looked at', () => running.audited.length > looks);
      await running.stop();
      assert.is(index.lost(), 0);
      await assertWhole(world);
    },
    long,
  );

  test(
    'what was mended long after it was said is looked at after the next start, too',
    async () => {
      const { world, index } = await open(store);
      await say(world, 6, 40);
      const running = await startEmbedding(world);
      await running.caughtUp();
      // All of it is kept over a start.
      index.restart(() => false);
      await until('it was looked at', () => running.audited.length > 0);
      const [first] = await assertWhole(world);
      assert.ok(first);
      await index.remove(1, [first.passageId]);
      assert.is((await diffVectorsNow(world, true)).repaired, 1);
      index.restart((id) => id === first.passageId);
      await until('it was looked at again', () => running.audited.length > 1);
      await running.stop();
      assert.is(index.lost(), 0);
      await assertWhole(world);
    },
    long,
  );

  test(
    'what a process that was killed had stored is stored again by the next one, in whatever batches',
    async () => {
      const { world, index } = await open(store);
      await say(world, 7, 20);
      const first = await startEmbedding(world);
      await first.caughtUp();
      const dying = new Promise<void>((resolve) => {
        index.onPut = () => {
          resolve();
          throw new Error('killed');
        };
      });
      await say(world, 5, 80);
      await dying;
      // It sees to what it knows of, and is killed before it stores the rest again.
      world.embedder.away = true;
      index.onPut = () => undefined;
      index.restart(() => true);
      await until('it was looked at', () => first.audited.length > 0);
      await first.stop();
      world.embedder.away = false;
      const events = world.store;
      // Few at a time, as if the log had only begun to be read.
      const slowly = {
        ...events,
        async *subscribe(after: bigint, options: { signal: AbortSignal }) {
          for await (const { events: all, caughtUp } of events.subscribe(after, options))
            for (let i = 0; i < Math.max(all.length, 1); i += 10) {
              yield { events: all.slice(i, i + 10), caughtUp: caughtUp && i + 10 >= all.length };
              await new Promise((resolve) => setImmediate(resolve));
            }
        },
      };
      const running = await startEmbedding(world, { store: slowly });
      await running.caughtUp();
      await running.stop();
      assert.is(index.lost(), 0);
      await assertWhole(world);
    },
    long,
  );
}

test.run();
