import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { cautiousTokens, CHUNKER, chunksOf } from '../../../domain/meaning/chunker.ts';
import { suite } from '../../harness.ts';

const test = suite('chunker');

const words = [
  'leaf',
  'extraordinary',
  'Grüße',
  'Wörterbuch.',
  'и',
  'очень',
  '水',
  '今日は良い天気です。',
  '「はい」！',
  '안녕하세요',
];
const signs = [
  'x = y;',
  '- item',
  '3.',
  '"No!"',
  'e.g.',
  '{}',
  '0x3f9a77',
  'AKIA'.repeat(9),
  '\u0301\u0302',
  '👩‍👩‍👧‍👦',
  '🇩🇪🇫🇷',
  '👍🏽',
  '𠀀𠀁',
  '\u200d',
];
const gaps = [
  '',
  ' ',
  ' ',
  ' ',
  '. ',
  '\n',
  '\n\n',
  '\r\n',
  '\r\n \t\r\n',
  '\f',
  '\u2028',
  '\u00a0',
  '\u3000',
  ' '.repeat(700),
];
const piece = fc.oneof(
  fc.constantFrom(...words, ...signs),
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc
    .tuple(
      fc.constantFrom('x', '7', '=', 'é', 'ж', '水', '한', '🫖', 'a\u0301', '\u0301'),
      fc.integer({ min: 20, max: 700 }),
    )
    .map(([sign, n]) => sign.repeat(n)),
);
const sized = fc.nat(9).chain((n) => fc.array(fc.tuple(piece, fc.constantFrom(...gaps)), { maxLength: 4 ** (n / 2) }));
const texts = sized.map((parts) => parts.map(([text, gap]) => text + gap).join(''));

test('every character that is not blank is in a chunk, in order, within the bounds', () => {
  fc.assert(
    fc.property(texts, (text) => {
      const chunks = chunksOf(text);
      assert.is(chunks.length === 0, text.trim() === '');
      let covered = 0;
      let before = -1;
      for (const { starts, ends } of chunks) {
        const slice = text.slice(starts, ends);
        assert.ok(starts > before && ends > covered && ends <= text.length, 'in order');
        assert.is(text.slice(covered, Math.max(covered, starts)).trim(), '', 'nothing is left out');
        assert.is(slice.trim(), slice);
        assert.ok(cautiousTokens(slice) <= 180, `${cautiousTokens(slice)} tokens`);
        assert.ok(cautiousTokens(text.slice(starts, covered)) <= 40, 'the overlap');
        if (text.isWellFormed()) assert.ok(slice.isWellFormed());
        [before, covered] = [starts, ends];
      }
      assert.is(text.slice(covered).trim(), '', 'nothing is left out at the end');
      if (cautiousTokens(text.trim()) <= 180) assert.ok(chunks.length <= 1, 'what fits is one chunk');
      assert.equal(chunksOf(text), chunks);
    }),
    { numRuns: 600, includeErrorInReport: true },
  );
});

test('a letter keeps its marks, an emoji and a flag stay whole', () => {
  for (const sign of ['e\u0301', '👩‍👩‍👧‍👦', '🇩🇪', '👍🏽', 'か\u3099', '水\ufe00'])
    for (const before of ['', 'x', '水', 'xx ', '🇫🇷'])
      for (const { starts, ends } of chunksOf(before + sign.repeat(400))) {
        assert.is((starts - before.length) % sign.length === 0 || starts === 0, true, `${sign} begins at ${starts}`);
        assert.is((ends - before.length) % sign.length, 0, `${sign} ends at ${ends}`);
      }
});

const sentence = (i: number) => `Sentence number ${i} says that the kettle is on the stove.`;
const textsOf = (text: string) => chunksOf(text).map(({ starts, ends }) => text.slice(starts, ends));

test('cuts at paragraphs rather than at sentences, at sentences rather than at words, and repeats the last sentence', () => {
  const paragraphs = Array.from({ length: 12 }, (_, i) => [0, 1, 2, 3, 4].map((k) => sentence(10 * i + k)).join(' '));
  const cut = textsOf(paragraphs.join('\n\n'));
  assert.ok(cut.length > 3);
  for (const each of cut)
    assert.ok(
      paragraphs.some((one) => each.endsWith(one)),
      each,
    );
  const long = textsOf(Array.from({ length: 60 }, (_, i) => sentence(i)).join(' '));
  for (const [i, each] of long.entries()) {
    assert.match(each, /^Sentence number \d+ .*stove\.$/);
    const last = long[i - 1]?.match(/Sentence [^.]*\.$/)?.[0];
    if (last !== undefined) assert.ok(each.startsWith(last), each);
  }
});

test('knows the ends of sentences of other scripts, lines of lists and of code, and what is none', () => {
  for (const each of textsOf('今日は良い天気です。'.repeat(60))) assert.match(each, /^今日.*です。$/);
  const list = Array.from({ length: 60 }, (_, i) => `- the thing of number ${i} that nobody needs`).join('\n');
  for (const each of textsOf(list)) assert.match(each, /^- the thing [^]*needs$/);
  const code = Array.from({ length: 60 }, (_, i) => `  total = total + weights[${i}] * values[${i}];`).join('\n');
  for (const each of textsOf(code)) assert.match(each, /^total [^]*;$/);
  const short = 'We asked J. Smith, e.g. About it, and the answer was yes. ';
  for (const each of textsOf(short.repeat(30))) assert.match(each, /^We asked [^]*yes\.$/);
});

test('blank texts have no chunks, short ones are one', () => {
  for (const blank of ['', ' ', '\n\n\t\u3000', ' '.repeat(200_000)]) assert.equal(chunksOf(blank), []);
  assert.equal(chunksOf('a'), [{ starts: 0, ends: 1 }]);
  assert.equal(chunksOf('\n  Two words \n'), [{ starts: 3, ends: 12 }]);
});

test('c1 cuts as it always did', () => {
  assert.is(CHUNKER, 'c1');
  const licence = readFileSync(new URL('../../vectors/apache-2.0.txt', import.meta.url), 'utf8');
  const cuts = chunksOf(licence).map(({ starts, ends }) => `${starts}-${ends}`);
  assert.is(
    cuts.join(' '),
    '34-523 402-950 828-1329 1189-1838 1700-2340 2201-2731 2594-3227 3079-3501 3345-3918 3773-4350 4212-4552 ' +
      '4439-4953 4798-5437 5323-5746 5588-6244 6093-6567 6449-6851 6690-7252 7104-7732 7578-8030 7888-8469 8335-8698 ' +
      '8674-9309 9159-9736 9597-10233 10178-10805 10763-11035 10993-11357',
  );
  const mixed = [...words, ...signs, '🇩🇪🇫🇷', 'é水x'.repeat(40)].join(' ').concat('.\n\n').repeat(6);
  const ends = chunksOf(mixed).map((chunk) => chunk.ends);
  assert.is(ends.join(' '), '191 313 401 506 628 716 821 943 1031 1136 1258 1346 1451 1573 1661 1766 1888');
});

test('takes time in proportion to the text, whatever is in it', () => {
  const sources = ['word ', 'x', '水', '今日は。', '👩‍👩‍👧‍👦', '\u0301', '. ', 'a\n', ' ', '🇩🇪', '안', '('];
  const started = performance.now();
  for (const source of sources) chunksOf(source.repeat(200_000 / source.length));
  assert.ok(performance.now() - started < 5_000);
});

test.run();
