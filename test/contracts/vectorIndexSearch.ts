/** What every adapter of the VectorIndex port finds. */
import * as assert from 'uvu/assert';
import type { PassageFilter, PassageKind, VectorIndex, VectorObject } from '../../domain/meaning/vectorIndex.ts';
import {
  aPassage,
  aVector,
  cosine,
  DIMENSIONS,
  EVERYTHING,
  exactNearest,
  idsOf,
  minute,
  nearTo,
  passes,
  randoms,
  sampleWorld,
} from './samplePassages.ts';
import { refusal, type VectorTests } from './vectorIndex.ts';

const LONG = { deadlineMs: 120_000 };
const never = (): AbortSignal => new AbortController().signal;

/** Adds the tests of `search`. */
export function vectorIndexSearch(on: VectorTests): void {
  answers(on);
  selective(on);
  recall(on);
}

function answers({ test, index, another, filled }: VectorTests): void {
  test('scores are cosines, best first, no more than the limit', async () => {
    const axis = (i: number, sign = 1) => Array.from({ length: DIMENSIONS }, (_, at) => (at === i ? sign : 0));
    const half = axis(0).map((value, i) => (i === 1 ? Math.sqrt(3) / 2 : value / 2));
    const vectors = { opposite: axis(0, -1), across: axis(2), half, same: axis(0) };
    const version = await filled(
      Object.entries(vectors).map(([name, vector]) => ({ passage: aPassage(name), vector })),
    );
    const search = (limit: number) =>
      index().search(version, { vector: axis(0), filter: EVERYTHING, limit }, { signal: never() });
    const hits = await search(10);
    assert.equal(
      hits.map(({ passage }) => passage.text.split(' ').at(-1)),
      ['same.', 'half.', 'across.', 'opposite.'],
    );
    for (const [i, score] of [1, 0.5, 0, -1].entries())
      assert.ok(Math.abs((hits[i]?.score ?? 9) - score) < 1e-5, `${hits[i]?.score} instead of ${score}`);
    assert.equal(await search(2), hits.slice(0, 2));
    assert.equal(await search(1_000), hits);
    for (const limit of [0, -1, 1.5, 1_001, NaN]) assert.is(await refusal(search(limit)), 'invalid', String(limit));
  });

  test('a search that cannot be is refused', async () => {
    const version = await filled();
    const good = aVector(randoms(23));
    const search = (vector: readonly number[], filter: Partial<PassageFilter> = {}) =>
      refusal(index().search(version, { vector, filter: { ...EVERYTHING, ...filter }, limit: 5 }, { signal: never() }));
    for (const vector of [[], good.slice(1), [...good, 1], [NaN, ...good.slice(1)], [-Infinity, ...good.slice(1)]])
      assert.is(await search(vector), 'invalid', JSON.stringify(vector.slice(0, 2)));
    assert.is(await search(new Array<number>(DIMENSIONS).fill(0)), 'invalid');
    for (const time of ['', 'now', '2026-13-01T00:00:00Z', '2026-03-01', "'; --"]) {
      assert.is(await search(good, { from: time }), 'invalid', time);
      assert.is(await search(good, { to: time }), 'invalid', time);
    }
    assert.is(await search(good), 'none');
  });

  test('what was put or removed shows in the next search, for others too', async () => {
    const random = randoms(24);
    const version = await filled([], true);
    const other = await another();
    for (let i = 0; i < 20; i += 1) {
      const vector = aVector(random);
      const passage = aPassage(`next ${i}`);
      await index().put(version, [{ passage, vector }]);
      const nearest = (of: VectorIndex) =>
        of.search(version, { vector, filter: EVERYTHING, limit: 1 }, { signal: never() });
      assert.equal(idsOf(await nearest(other)), [passage.passageId]);
      await other.remove(version, [passage.passageId]);
      assert.equal(idsOf(await nearest(index())), []);
    }
  });

  test('a signal that aborts ends a search with its reason', async () => {
    const version = await filled(sampleWorld());
    const wanted = { vector: aVector(randoms(25)), filter: EVERYTHING, limit: 10 };
    const reason = new Error('nobody waits any more');
    const thrown = (work: Promise<unknown>) => work.catch((error: unknown) => error);
    assert.is(await thrown(index().search(version, wanted, { signal: AbortSignal.abort(reason) })), reason);
    const aborting = new AbortController();
    const searches = Array.from({ length: 10 }, () => thrown(index().search(version, wanted, aborting)));
    aborting.abort(reason);
    for (const end of await Promise.all(searches)) assert.is(end, reason);
    assert.is((await index().search(version, wanted, { signal: never() })).length, 10, 'and others go on');
  });
}

function selective({ test, index, filled }: VectorTests): void {
  test(
    'a filter that lets few through still finds as many as there are, the nearest first',
    async () => {
      const random = randoms(26);
      const [here, far] = [aVector(random), aVector(random).map((value) => -value)];
      const kindOf = (i: number): PassageKind => (i % 500 === 7 ? 'document' : 'message');
      const objects: VectorObject[] = Array.from({ length: 5_000 }, (_, i) => {
        // Whoever looks near the query only meets those of other projects.
        const few = i % 100 === 0;
        const fields = { project: few ? 'few' : 'many', discussionId: i % 1_000 === 0 ? 'tiny' : `d${i % 50}` };
        const passage = aPassage(`5000/${i}`, { ...fields, kind: few ? 'message' : kindOf(i), at: minute(i) });
        return { passage, vector: nearTo(few ? far : here, random, few ? 0.3 : 0.6) };
      });
      const version = await filled(objects, true);
      const all: [PassageFilter, number, number][] = [
        [{ projects: ['few'] }, 10, 10],
        [{ projects: ['few'] }, 1_000, 50],
        [{ projects: ['few'], within: [{ discussionId: 'tiny', until: null }] }, 10, 5],
        [{ projects: null, within: [{ discussionId: 'tiny', until: 7 }] }, 10, 5],
        [{ projects: null, kinds: ['document'] }, 10, 10],
        [{ projects: ['many'], from: minute(4_991) }, 20, 9],
        [{ projects: ['many'] }, 1_000, 1_000],
        [EVERYTHING, 1_000, 1_000],
      ];
      for (const [filter, limit, count] of all) {
        const hits = await index().search(version, { vector: here, filter, limit }, { signal: never() });
        assert.is(hits.length, count, JSON.stringify(filter));
        assert.ok(
          hits.every(({ passage }) => passes(passage, filter)),
          JSON.stringify(filter),
        );
        if (count > 50) continue;
        assert.equal(idsOf(hits).sort(), exactNearest(objects, here, filter, limit).sort(), JSON.stringify(filter));
      }
    },
    LONG,
  );
}

function recall({ test, index, filled }: VectorTests): void {
  test(
    'of the ten nearest of a thousand it finds at least 95 %, with and without a filter',
    async () => {
      const random = randoms(27);
      const objects = Array.from({ length: 1_000 }, (_, i) => {
        return { passage: aPassage(`recall ${i}`, { project: `p${i % 2}` }), vector: aVector(random) };
      });
      const version = await filled(objects, true);
      for (const filter of [EVERYTHING, { projects: ['p1'] }]) {
        let found = 0;
        for (let i = 0; i < 50; i += 1) {
          const vector = aVector(random);
          const hits = await index().search(version, { vector, filter, limit: 10 }, { signal: never() });
          const best = new Set(exactNearest(objects, vector, filter, 10));
          found += idsOf(hits).filter((id) => best.has(id)).length;
          for (const [at, { score }] of hits.entries()) assert.ok(score <= (hits[at - 1]?.score ?? 2), 'best first');
          const [first] = hits;
          const object = objects.find(({ passage }) => passage.passageId === first?.passage.passageId);
          assert.ok(Math.abs((first?.score ?? 9) - cosine(object?.vector ?? [], vector)) < 1e-4);
        }
        assert.ok(found >= 475, `${found} of 500 with ${JSON.stringify(filter)}`);
      }
    },
    LONG,
  );
}
