import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { excerpt } from '../../../domain/prompt/excerpt.ts';
import { suite } from '../../harness.ts';

const test = suite('excerpts');

const about = (word: string, n: number) =>
  `A paragraph about ${word}. ${`Of ${word} there is more to say. `.repeat(n)}`.trim();
const words = ['leaves', 'beans', 'water', 'milk', 'sugar', 'Grüße', '🫖🫖🫖', '水'];
const paragraph = fc.tuple(fc.constantFrom(...words), fc.nat(12)).map(([word, n]) => about(word, n));
const documentArbitrary = fc
  .array(fc.tuple(paragraph, fc.constantFrom('\n\n', '\n \n', '\r\n\r\n', '\n\n\n\n', '\n', ' ')), { maxLength: 12 })
  .map((parts) => parts.map(([text, gap]) => text + gap).join(''));

test('ranges in order, disjoint, within the budget, never within a character', () => {
  fc.assert(
    fc.property(documentArbitrary, fc.constantFrom(...words), fc.nat(3000), (document, topic, budget) => {
      const ranges = excerpt(document, topic, budget);
      let end = 0;
      let sum = 0;
      for (const [from, to] of ranges) {
        assert.ok(from >= end && to >= from && to <= document.length, JSON.stringify(ranges));
        assert.ok(document.slice(from, to).isWellFormed());
        end = to;
        sum += to - from;
      }
      assert.ok(sum <= budget);
      if (document !== '' && budget > 1) assert.is(ranges[0]?.[0], 0, 'the beginning is kept');
      assert.equal(excerpt(document, topic, budget), ranges);
    }),
    { numRuns: 400, includeErrorInReport: true },
  );
});

test('what fits is shown whole, of nothing there is nothing', () => {
  assert.equal(excerpt('abc', 'x', 3), [[0, 3]]);
  assert.equal(excerpt('', 'x', 3), []);
  assert.equal(excerpt('abc', 'x', 0), []);
  assert.equal(excerpt('abc', 'x', -1), []);
});

test('the beginning and the paragraphs about the topic, in the order of the document', () => {
  const document = ['milk', 'sugar', 'leaves', 'water', 'leaves'].map((word) => about(word, 5)).join('\n\n');
  const size = about('leaves', 5).length;
  const shown = excerpt(document, 'Which leaves are best?', 3 * size).map(([from, to]) => document.slice(from, to));
  assert.equal(shown, [about('milk', 5), about('leaves', 5), about('leaves', 5)]);
});

test('a first paragraph longer than the budget is cut, before a character that does not fit', () => {
  assert.equal(excerpt(`${'x'.repeat(9)}🫖${'y'.repeat(90)}`, 'x', 10), [[0, 9]]);
});

test('a long document is read in time that grows with its length only', () => {
  const started = performance.now();
  excerpt('\n'.repeat(100_000) + ' \n\t'.repeat(30_000) + 'x', 'topic', 1000);
  excerpt('a\n \t'.repeat(50_000), 'topic', 1000);
  assert.ok(performance.now() - started < 3000);
});

test.run();
