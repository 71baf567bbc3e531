/** What every adapter of the VectorIndex port answers. */
import * as assert from 'uvu/assert';
import type { VectorIndex, VectorObject } from '../../domain/meaning/vectorIndex.ts';
import { Refusal, type RefusalCode } from '../../domain/refusal.ts';
import { type Suite, suite } from '../harness.ts';
import {
  aPassage,
  aVector,
  anId,
  DIMENSIONS,
  EVERYTHING,
  idOf,
  idsOf,
  own,
  randoms,
  someObjects,
  SPEC,
} from './samplePassages.ts';
import { pagesOf, vectorIndexCollections } from './vectorIndexCollections.ts';
import { vectorIndexFilters } from './vectorIndexFilters.ts';
import { vectorIndexSearch } from './vectorIndexSearch.ts';

const LONG = { deadlineMs: 60_000 };

export interface VectorIndexUnderTest {
  readonly index: VectorIndex;
  /** The same store, opened as another process would. */
  another(): Promise<VectorIndex>;
  /** Closes all of them. */
  stop(): Promise<void>;
}

/** What the tests of this port share. */
export interface VectorTests {
  readonly test: Suite;
  readonly index: () => VectorIndex;
  readonly another: () => Promise<VectorIndex>;
  /** A new version with these objects, dropped at the end. */
  readonly filled: (objects?: readonly VectorObject[], complete?: boolean) => Promise<number>;
}

/** Registers and runs the suite; `make` gives a store that may hold other versions, too. */
export function vectorIndexContract(name: string, make: () => Promise<VectorIndexUnderTest>): void {
  const inner = suite(`VectorIndex: ${name}`);
  // A store's answers may be slow on a machine that has other things to do.
  const test: Suite = Object.assign(
    (says: string, body: () => unknown, options = LONG) => inner(says, body, options),
    inner,
  );
  let made: VectorIndexUnderTest | undefined;
  const versions: number[] = [];
  let next = 1_000_000 + Math.floor(Math.random() * 1_000_000_000);
  const opened = (): VectorIndexUnderTest => {
    if (made === undefined) throw new Error('the index was not made');
    return made;
  };
  const newVersion = (): number => {
    versions.push((next += 1));
    return next;
  };
  const on: VectorTests = {
    test,
    index: () => opened().index,
    another: () => opened().another(),
    filled: async (objects = [], complete = false) => {
      const version = newVersion();
      await on.index().create(version, SPEC);
      await on.index().put(version, objects);
      if (complete) await on.index().complete(version);
      return version;
    },
  };
  test.before(async () => void (made = await make()));
  test.after(async () => {
    for (const version of versions) await made?.index.drop(version);
    await made?.stop();
  });
  vectorIndexCollections(on, newVersion);
  objectsOf(on);
  badInput(on);
  listing(on);
  vectorIndexFilters(on);
  vectorIndexSearch(on);
  inner.run();
}

/** The code with which it is refused, 'none' when it is not. */
export async function refusal(work: Promise<unknown>): Promise<RefusalCode | 'none'> {
  return work.then(
    () => 'none',
    (error: unknown) => {
      if (error instanceof Refusal) return error.code;
      throw error;
    },
  );
}

function objectsOf({ test, index, another, filled }: VectorTests): void {
  test('what was put is there, for others too, and an object that is put again is replaced as a whole', async () => {
    const [first, second, changed] = someObjects(3, 5);
    if (!first || !second || !changed) throw new Error('no objects');
    const version = await filled([first, second]);
    const other = await another();
    const found = await other.vectors(version, [idOf(first), idOf(second), anId('nobody')]);
    assert.equal([...found.keys()].sort(), [idOf(first), idOf(second)].sort());
    for (const [i, value] of (found.get(idOf(first)) ?? []).entries())
      assert.ok(Math.abs(value - (first.vector[i] ?? 9)) < 1e-6, `${value} for ${first.vector[i]}`);
    const passage = { ...changed.passage, passageId: idOf(first), agentId: 'a', kind: 'document' as const };
    await index().put(version, [{ passage, vector: changed.vector }]);
    assert.equal(await other.unfindable(version, [{ passageId: idOf(first), vector: changed.vector }]), []);
    const wanted = { vector: changed.vector, filter: EVERYTHING, limit: 10 };
    const hits = await other.search(version, wanted, { signal: new AbortController().signal });
    assert.is(hits.length, 2);
    assert.equal(hits[0]?.passage, passage);
    await index().put(version, [first, { ...first, vector: second.vector }]);
    assert.equal(await index().unfindable(version, [{ passageId: idOf(first), vector: second.vector }]), []);
  });

  test('what was removed is gone; what is not there is not missed', async () => {
    const objects = someObjects(5, 6);
    const version = await filled(objects);
    const gone = idsOf(objects).slice(0, 2);
    await index().remove(version, [...gone, anId('nobody')]);
    await index().remove(version, gone);
    assert.equal(await pagesOf(await another(), version), idsOf(objects).slice(2).sort());
    assert.equal((await index().unfindable(version, own(objects))).sort(), gone.sort());
    await index().put(version, objects);
    assert.equal(await index().unfindable(version, own(objects)), []);
  });

  test('unfindable are those that are not there or have another vector, not those of the same text', async () => {
    const [first, ...others] = someObjects(4, 7);
    if (!first) throw new Error('no objects');
    const same = Array.from({ length: 30 }, (_, i) => ({ passage: aPassage(`same ${i}`), vector: first.vector }));
    const version = await filled([first, ...others, ...same]);
    const elsewhere = { passageId: idOf(first), vector: aVector(randoms(8)) };
    const missing = { passageId: anId('missing'), vector: first.vector };
    assert.equal(await index().unfindable(version, own([first, ...others, ...same])), []);
    assert.equal(await index().unfindable(version, [elsewhere, ...own(same)]), [elsewhere.passageId]);
    assert.equal(await index().unfindable(version, [...own(others), missing]), [missing.passageId]);
  });

  test('nothing given, nothing done', async () => {
    const version = await filled();
    await index().put(version, []);
    await index().remove(version, []);
    assert.is((await index().vectors(version, [])).size, 0);
    assert.equal(await index().unfindable(version, []), []);
    assert.equal(await pagesOf(index(), version), []);
    await index().complete(version);
    await index().complete(version);
  });

  test(
    'several processes that put the same objects at once all succeed',
    async () => {
      const objects = someObjects(400, 9);
      const version = await filled();
      const all = [index(), await another(), await another()];
      await Promise.all(all.map((one, i) => one.put(version, i === 1 ? [...objects].reverse() : objects)));
      assert.equal(await index().unfindable(version, own(objects)), []);
      assert.is((await pagesOf(index(), version)).length, objects.length);
    },
    LONG,
  );
}

function badInput({ test, index, filled }: VectorTests): void {
  test('vectors that cannot be and ids that are none are refused before anything is stored', async () => {
    const [good, other] = someObjects(2, 10);
    if (!good || !other) throw new Error('no objects');
    const version = await filled();
    const withFirst = (value: number) => [value, ...good.vector.slice(1)];
    const zero = new Array<number>(DIMENSIONS).fill(0);
    const bad = [[], good.vector.slice(1), [...good.vector, 0], withFirst(NaN), withFirst(Infinity), zero, [1e-300]];
    for (const vector of [...bad, withFirst(1e300), zero.map(() => 1e-60)]) {
      const says = JSON.stringify(vector.slice(0, 2));
      assert.is(await refusal(index().put(version, [good, { ...other, vector }])), 'invalid', says);
      assert.is(await refusal(index().unfindable(version, [{ passageId: idOf(good), vector }])), 'invalid', says);
    }
    for (const passageId of ['', 'x', '../objects', `${idOf(good)}?tenant=b`, `${idOf(good)}"`, `{${idOf(good)}}`]) {
      const passage = { ...good.passage, passageId };
      assert.is(await refusal(index().put(version, [other, { ...good, passage }])), 'invalid', passageId);
      assert.is(await refusal(index().remove(version, [idOf(good), passageId])), 'invalid', passageId);
      assert.is(await refusal(index().vectors(version, [passageId])), 'invalid', passageId);
      assert.is(await refusal(index().unfindable(version, [{ ...good, passageId }])), 'invalid', passageId);
    }
    assert.equal(await pagesOf(index(), version), [], 'and nothing of it was stored');
  });
}

function listing({ test, index, another, filled }: VectorTests): void {
  test(
    'lists every object once, in order of id, and may be left early',
    async () => {
      const random = randoms(11);
      const objects = Array.from({ length: 2_500 }, (_, i) => {
        return { passage: aPassage(`many ${i}`, { discussionId: `d${i % 7}` }), vector: aVector(random) };
      });
      const version = await filled(objects);
      const discussions = new Map(objects.map(({ passage }) => [passage.passageId, passage.discussionId]));
      const other = await another();
      assert.equal(await pagesOf(other, version), idsOf(objects).sort());
      for await (const page of other.list(version)) {
        assert.ok(page.length > 0);
        for (const { passageId, discussionId } of page) assert.is(discussionId, discussions.get(passageId));
        break;
      }
      await index().remove(version, idsOf(objects));
      assert.equal(await pagesOf(other, version), []);
    },
    LONG,
  );
}
