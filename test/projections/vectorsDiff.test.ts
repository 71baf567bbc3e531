/** What an index lacks, has lost or should not hold is found, and mended when told. */
import * as assert from 'uvu/assert';
import { createProjectionControl } from '../../api/projectionControl.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { TableDiff } from '../../projections/diff.ts';
import { aPassage } from '../contracts/samplePassages.ts';
import { suite } from '../harness.ts';
import { assertWhole, closeWorlds, embedAll, openWorld, say, storesForTests } from './embeddingsForTests.ts';
import { forgetful } from './vectorsForgetful.ts';
import { diffVectorsNow } from './vectorsForTests.ts';
import { vectorOf } from './wordEmbedder.ts';

const stores = await storesForTests('comparing vectors');
const test = suite('diff of vectors');
test.after.each(closeWorlds);
test.after(async () => void (await Promise.all(stores.map((store) => store.stop()))));
const long = { deadlineMs: 90_000 };

const kindsOf = ({ samples }: TableDiff) =>
  Object.fromEntries(samples.map(({ key, kind }) => [key, kind] as const).sort(([a], [b]) => (a < b ? -1 : 1)));

for (const store of stores) {
  test(
    `${store.name}: equal as long as it is whole; what is missing, lost or extra is named, and mended`,
    async () => {
      const world = await openWorld(store);
      const index = forgetful(world.index);
      world.index = index;
      await say(world, 1, 40);
      await embedAll(world);
      const passages = await assertWhole(world);
      const whole = await diffVectorsNow(world);
      assert.equal([whole.equal, whole.repaired], [true, undefined]);
      const vectors = whole.tables.at(-1);
      assert.equal([vectors?.table, vectors?.rows, vectors?.differing], ['vectors', passages.length, 0]);

      const [missing = '', other = '', lost = ''] = passages.map(({ passageId }) => passageId);
      const extra = aPassage('extra');
      await index.remove(1, [missing, other]);
      index.restart((id) => id === lost);
      await index.put(1, [{ passage: extra, vector: vectorOf(extra.text) }]);
      const expected = { [missing]: 'missing', [other]: 'missing', [lost]: 'differs', [extra.passageId]: 'extra' };
      const sorted = Object.fromEntries(Object.entries(expected).sort(([a], [b]) => (a < b ? -1 : 1)));
      const broken = await diffVectorsNow(world);
      assert.is(broken.equal, false);
      assert.equal(kindsOf(broken.tables.at(-1) as TableDiff), sorted);
      assert.is(broken.repaired, undefined, 'nothing is mended unless told');

      const mended = await diffVectorsNow(world, true);
      assert.equal([mended.equal, mended.repaired], [false, 4]);
      assert.equal(kindsOf(mended.tables.at(-1) as TableDiff), sorted);
      const again = await diffVectorsNow(world);
      assert.equal([again.equal, again.tables.at(-1)?.differing], [true, 0]);
      assert.is(index.lost(), 0);
      await assertWhole(world);
    },
    long,
  );

  test(
    `${store.name}: a collection that is gone is said to be, and is still noticed by who embeds`,
    async () => {
      const world = await openWorld(store);
      await say(world, 2, 20);
      await embedAll(world);
      await world.index.drop(1);
      for (const repair of [false, true]) {
        const error: unknown = await diffVectorsNow(world, repair).catch((each: unknown) => each);
        assert.ok(error instanceof Refusal && error.code === 'conflict', String(error));
      }
      await say(world, 3, 5);
      await embedAll(world);
      await assertWhole(world);
    },
    long,
  );
}

test('only the vectors can be repaired', async () => {
  const nothing = {} as never;
  const control = createProjectionControl({
    ...{ queries: nothing, store: nothing, clock: nothing, ids: nothing, operations: nothing },
    ...{ run: nothing, lag: nothing, differs: nothing, onFault: nothing, gapless: true },
    projections: [{ name: 'usage' } as never],
  });
  const error: unknown = await Promise.resolve()
    .then(() => control.diff('usage', { repair: true }))
    .catch((each: unknown) => each);
  assert.ok(error instanceof Refusal && error.code === 'invalid');
  assert.match(error.message, /rebuild usage instead/);
});

test.run();
