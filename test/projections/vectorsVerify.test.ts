/** An index that is not what the log says never becomes the live one. */
import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import type { VectorIndex } from '../../domain/meaning/vectorIndex.ts';
import { Refusal } from '../../domain/refusal.ts';
import { deadLetterQueries } from '../../projections/deadLetters.ts';
import { embeddings } from '../../projections/embeddings.ts';
import { claimBuild, releaseClaim } from '../../projections/rebuild/version.ts';
import { aPassage } from '../contracts/samplePassages.ts';
import { suite } from '../harness.ts';
import {
  assertWhole,
  closeWorlds,
  embedAll,
  eventsOf,
  openWorld,
  passagesOfAll,
  say,
  storesForTests,
} from './embeddingsForTests.ts';
import { statuses } from './rebuildForTests.ts';
import { forgetful } from './vectorsForgetful.ts';
import { rebuildVectors } from './vectorsForTests.ts';
import { vectorOf } from './wordEmbedder.ts';

const stores = await storesForTests('verifying vectors');
const test = suite('verification of vectors');
test.after.each(closeWorlds);
test.after(async () => void (await Promise.all(stores.map((store) => store.stop()))));
const long = { deadlineMs: 120_000 };

for (const store of stores) {
  test(
    `${store.name}: an object removed, added or changed behind its back fails the rebuild`,
    async () => {
      const world = await openWorld(store);
      const { index } = world;
      await say(world, 1, 40);
      await embedAll(world);
      const passages = await assertWhole(world);
      const [first] = passages;
      assert.ok(first);
      const strange = [
        [/hold \d+ passages of discussion .* the log says/, (version) => index.remove(version, [first.passageId])],
        [
          /hold 1 passages of discussion .* the log says 0/,
          (version) => index.put(version, [{ passage: aPassage('extra'), vector: vectorOf('extra') }]),
        ],
        [
          /is not that of its text/,
          async (version) => {
            await index.remove(version, [first.passageId]);
            await index.put(version, [{ passage: first, vector: vectorOf('something else') }]);
          },
        ],
      ] as const satisfies readonly (readonly [RegExp, (version: number) => Promise<void>])[];
      for (const [message, behind] of strange) {
        const broken: VectorIndex = {
          ...index,
          async complete(version) {
            await index.complete(version);
            await behind(version);
          },
        };
        const meaning = { ...world.meaning, index: () => broken };
        const error: unknown = await rebuildVectors(world, { meaning }).catch((each: unknown) => each);
        assert.match(String(error), message);
        assert.equal(await statuses(world, embeddings.name), { 1: 'live', 2: 'failed' });
        await assertWhole(world);
      }
      assert.is((await rebuildVectors(world)).version, 2);
      await assertWhole(world);
    },
    long,
  );

  test(
    `${store.name}: what a store lost while it was built is mended before the swap`,
    async () => {
      const world = await openWorld(store);
      await say(world, 2, 60);
      await embedAll(world);
      const index = forgetful(world.index);
      world.index = index;
      let puts = 0;
      index.onPut = () => {
        puts += 1;
        if (puts === 1) index.restart((id) => id < '8');
      };
      await rebuildVectors(world);
      assert.is(index.lost(), 0);
      await assertWhole(world);
    },
    long,
  );

  test(
    `${store.name}: a text that cannot be embedded becomes a letter of the new version`,
    async () => {
      const world = await openWorld(store);
      await say(world, 3, 40);
      await embedAll(world);
      const last = passagesOfAll(await eventsOf(world.store)).findLast(({ chunk }) => chunk > 0);
      assert.ok(last);
      world.embedder.refuses = last.text.split(' ').at(-1) ?? null;
      const built = await rebuildVectors(world);
      const letters = await deadLetterQueries(world.database.knex).list({ limit: 10 });
      assert.equal(
        letters.map(({ version, eventId }) => [version, eventId]),
        [[built.version, last.eventId]],
      );
      await assertWhole(world, [last.eventId]);
    },
    long,
  );
}

for (const store of stores.slice(0, 1))
  test(
    'a second rebuild at the same time is refused',
    async () => {
      const world = await openWorld(store);
      await say(world, 4, 20);
      await embedAll(world);
      const { knex } = world.database;
      const first = await claimBuild(knex, embeddings, { builder: randomUUID(), fast: true });
      const error: unknown = await rebuildVectors(world).catch((each: unknown) => each);
      assert.ok(error instanceof Refusal && error.code === 'conflict');
      assert.match(error.message, /being rebuilt already/);
      await releaseClaim(knex, first, false);
      assert.is((await rebuildVectors(world)).version, 2);
    },
    long,
  );

test.run();
