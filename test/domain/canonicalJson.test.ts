import canonicalize from 'canonicalize';
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { canonicalJson } from '../../domain/codec.ts';
import { Refusal } from '../../domain/refusal.ts';
import { suite } from '../harness.ts';

const test = suite('canonical JSON');

const values = fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' });

test('any JSON value: the bytes of the reference implementation, which parse to the same value', () => {
  fc.assert(
    fc.property(values, (value) => {
      const text = canonicalJson(value);
      assert.is(text, canonicalize(value));
      // JSON has no −0.
      assert.equal(JSON.parse(text), JSON.parse(JSON.stringify(value)));
    }),
    { numRuns: 2_000 },
  );
});

test('every number and every UTF-16 unit that can stand alone', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) =>
      assert.is(canonicalJson(value), canonicalize(value)),
    ),
    { numRuns: 2_000 },
  );
  for (let unit = 0; unit <= 0xffff; unit += 1) {
    const text = String.fromCharCode(unit);
    if (text.isWellFormed()) assert.is(canonicalJson({ [text]: text }), canonicalize({ [text]: text }));
    else for (const bad of [text, [text], { [text]: 1 }, { a: text }]) assert.throws(() => canonicalJson(bad));
  }
});

test('keys in any order give the same bytes; members without a value are left out', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: 'binary' }), values), (object) => {
      const turned = Object.fromEntries([...Object.entries(object).reverse(), ['none', object['none']]]);
      assert.is(canonicalJson(turned), canonicalJson(object));
    }),
  );
  assert.is(canonicalJson([undefined, { a: undefined }, new Date(0)]), '[null,{},"1970-01-01T00:00:00.000Z"]');
});

test('what has no JSON form is refused', () => {
  for (const bad of [undefined, Number.NaN, -Infinity, 1n, () => 1, Symbol('a'), { a: () => 1 }, [1n]])
    assert.throws(
      () => canonicalJson(bad),
      (error: unknown) => error instanceof Refusal && error.code === 'internal',
    );
});

test.run();
