import * as assert from 'uvu/assert';
import { createEchoFilter } from '../../../domain/prompt/echo.ts';
import { suite } from '../../harness.ts';

const test = suite('echo filter');

function filtered(text: string, size: number): string {
  const filter = createEchoFilter();
  let out = '';
  for (let at = 0; at < text.length; at += size) out += filter.feed(text.slice(at, at + size));
  return out + filter.end();
}

const cases: [string, string][] = [
  ['Plain words stay.', 'Plain words stay.'],
  ['<<fcedd30799fab0e1 you: Ada>>\nI agree.\n<</fcedd30799fab0e1>>', 'I agree.\n'],
  ['<<fcedd30799fab: Ada>>\nI am glad.\n<</fcedd30799fab>\nMore.', 'I am glad.\nMore.'],
  ['<<dffa4cb8bbf577e8 participant: I think so.\nAnd more.', 'I think so.\nAnd more.'],
  ['<<dffa4cb8bbf577e8 user: I think so', 'I think so'],
  ['a < b, c << 2 and <<EOF stay', 'a < b, c << 2 and <<EOF stay'],
  ['if (x <<beef is no mark) {', 'if (x <<beef is no mark) {'],
  ['ends with <<abcd1234', 'ends with <<abcd1234'],
  ['<b>html</b> stays', '<b>html</b> stays'],
];

test('takes marks out and nothing else, however the answer is cut into pieces', () => {
  for (const [text, expected] of cases)
    for (const size of [1, 2, 3, 7, 1000])
      assert.is(filtered(text, size), expected, `${JSON.stringify(text)} by ${size}`);
});

test('holds back little: text that cannot become a mark goes out at once', () => {
  const filter = createEchoFilter();
  assert.is(filter.feed('Hello <'), 'Hello ');
  assert.is(filter.feed('b'), '<b');
});

test.run();
