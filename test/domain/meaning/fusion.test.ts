import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { fuse } from '../../../domain/meaning/fusion.ts';
import { suite } from '../../harness.ts';
import { aHit } from './passagesForTests.ts';

const test = suite('fusion');
const list = (...ids: string[]) => ids.map((passageId, place) => aHit({ passageId }, 0.9 - place / 10));
const order = (hits: ReturnType<typeof fuse>) => hits.map(({ passage }) => passage.passageId);

test('what both lists have comes before what one of them has, the first places first', () => {
  const fused = fuse([list('a', 'b', 'c'), list('d', 'c', 'a')], 10);
  assert.equal(order(fused), ['a', 'c', 'd', 'b']);
  assert.equal(
    fused.map(({ score }) => score),
    [1 / 61 + 1 / 63, 1 / 63 + 1 / 62, 1 / 61, 1 / 62],
  );
});

test('scores of the lists count for nothing, and the better of two last places does not beat one first', () => {
  const loud = list('x', 'y').map((hit) => ({ ...hit, score: hit.score * 1e9 }));
  assert.equal(order(fuse([list('a', 'y'), loud], 10)), ['y', 'a', 'x']);
});

test('what counts the same is ordered by id, whichever list comes first', () => {
  assert.equal(order(fuse([list('b'), list('a')], 10)), ['a', 'b']);
  assert.equal(order(fuse([list('a'), list('b')], 10)), ['a', 'b']);
});

test('no lists, empty lists and one list', () => {
  assert.equal(fuse([], 10), []);
  assert.equal(fuse([[], []], 10), []);
  assert.equal(order(fuse([list('c', 'a', 'b'), []], 2)), ['c', 'a']);
  assert.equal(fuse([list('a')], 0), []);
});

test('whatever the lists: none twice, none lost, best first, the order of the lists without meaning', () => {
  const ids = fc.uniqueArray(fc.constantFrom(...'abcdefghijkl'), { maxLength: 12 });
  fc.assert(
    fc.property(ids, ids, fc.nat({ max: 12 }), (one, other, limit) => {
      const fused = fuse([list(...one), list(...other)], limit);
      const all = new Set([...one, ...other]);
      assert.is(fused.length, Math.min(limit, all.size));
      assert.is(new Set(order(fused)).size, fused.length);
      assert.ok(fused.every(({ score }, i) => i === 0 || score <= (fused[i - 1]?.score ?? 0)));
      assert.equal(order(fuse([list(...other), list(...one)], limit)), order(fused));
    }),
  );
});

test.run();
