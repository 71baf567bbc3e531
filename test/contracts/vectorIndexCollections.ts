/** What every adapter of the VectorIndex port makes of its collections. */
import * as assert from 'uvu/assert';
import type { VectorIndex } from '../../domain/meaning/vectorIndex.ts';
import { aVector, EVERYTHING, idsOf, own, randoms, someObjects, SPEC } from './samplePassages.ts';
import { refusal, type VectorTests } from './vectorIndex.ts';

/** All ids that `list` gives, in its order. */
export async function pagesOf(index: VectorIndex, version: number): Promise<string[]> {
  const all: string[] = [];
  for await (const page of index.list(version)) all.push(...page.map(({ passageId }) => passageId));
  return all;
}

/** Adds the tests of collections as wholes. @param newVersion a number nobody uses. */
export function vectorIndexCollections({ test, index, another, filled }: VectorTests, newVersion: () => number): void {
  test('a version is made once, tells its spec, and is gone when dropped', async () => {
    const version = newVersion();
    assert.is(await index().describe(version), null);
    await index().create(version, SPEC);
    await index().create(version, { ...SPEC });
    const other = await another();
    assert.equal(await other.describe(version), SPEC);
    assert.ok((await other.versions()).includes(version));
    for (const changed of [{ model: 'b' }, { digest: null }, { dimensions: 33 }, { chunker: 'c2' }])
      assert.is(await refusal(other.create(version, { ...SPEC, ...changed })), 'conflict', JSON.stringify(changed));
    assert.equal(await index().describe(version), SPEC);
    await other.drop(version);
    await index().drop(version);
    assert.is(await index().describe(version), null);
    assert.not.ok((await index().versions()).includes(version));
    await index().create(version, { ...SPEC, digest: null });
    assert.equal(await index().describe(version), { ...SPEC, digest: null });
  });

  test('several processes that make it at once all succeed', async () => {
    const version = newVersion();
    const all = [index(), await another(), await another()];
    await Promise.all(all.map((one) => one.create(version, SPEC)));
    assert.is((await index().versions()).filter((one) => one === version).length, 1);
  });

  test('what is asked of a collection that another process deleted is a conflict', async () => {
    const objects = someObjects(3, 2);
    const version = await filled(objects);
    await (await another()).drop(version);
    const wanted = { vector: aVector(randoms(3)), filter: EVERYTHING, limit: 5 };
    const work: (() => Promise<unknown>)[] = [
      () => index().put(version, objects),
      () => index().remove(version, idsOf(objects)),
      () => index().vectors(version, idsOf(objects)),
      () => index().unfindable(version, own(objects)),
      () => pagesOf(index(), version),
      () => index().search(version, wanted, { signal: new AbortController().signal }),
      () => index().complete(version),
    ];
    for (const [i, each] of work.entries()) assert.is(await refusal(each()), 'conflict', `call ${i}`);
    assert.is(await index().describe(version), null, 'and nothing made it again');
    await index().drop(version);
  });

  test('the same ids in two versions are kept apart', async () => {
    const objects = someObjects(20, 4);
    const [one, two] = [await filled(objects), await filled(objects)];
    await index().remove(one, idsOf(objects).slice(0, 10));
    assert.is((await index().vectors(one, idsOf(objects))).size, 10);
    assert.is((await index().vectors(two, idsOf(objects))).size, 20);
    assert.equal(await index().unfindable(two, own(objects)), []);
    await index().drop(one);
    assert.equal(await index().unfindable(two, own(objects)), []);
  });

  test('tells whether the store was started again, and watches it until the signal', async () => {
    const before = await index().incarnation();
    assert.is(await index().incarnation(), before);
    const ending = new AbortController();
    index().watch(() => assert.unreachable(), ending.signal);
    await index().versions();
    ending.abort();
  });
}
