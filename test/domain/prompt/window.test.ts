import fc from 'fast-check';
import * as assert from 'uvu/assert';
import type { MessageMark } from '../../../domain/discussion/state.ts';
import { windowOf } from '../../../domain/prompt/window.ts';
import { given, post } from '../given.ts';
import { suite } from '../../harness.ts';

const test = suite('prompt windows');

function marksOf(sizes: readonly number[]): MessageMark[] {
  let endsAt = 0;
  return sizes.map((size, i) => {
    const startsAt = endsAt;
    endsAt += size;
    return { revision: 3 * i + 1, startsAt, endsAt };
  });
}

function tokensIn(marks: readonly MessageMark[], window: { from: number; to: number } | null): number {
  const [first, last] = [window?.from, window?.to].map((revision) => marks.find((each) => each.revision === revision));
  return (last?.endsAt ?? 0) - (first?.startsAt ?? 0);
}

test('nothing said, nothing shown; what fits is shown whole', () => {
  assert.is(windowOf([], 100), null);
  assert.equal(windowOf(marksOf([40, 60]), 100), { from: 1, to: 4 });
});

test('within the budget, up to the last message, its start moving in steps', () => {
  const sizes = fc.array(fc.integer({ min: 25, max: 200 }), { minLength: 1, maxLength: 120, size: 'max' });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 400, max: 3000 }), (each, budget) => {
      const marks = marksOf(each);
      const starts = new Set<number>();
      for (let i = 1; i <= marks.length; i += 1) {
        const said = marks.slice(0, i);
        const window = windowOf(said, budget);
        if (window === null) throw new Error('something was said');
        assert.is(window.to, said.at(-1)?.revision);
        const shown = tokensIn(said, window);
        assert.ok(shown <= budget, `${shown} of ${budget}`);
        const total = said.at(-1)?.endsAt ?? 0;
        // Half the budget, but for the message through which the step cuts.
        assert.ok(total <= budget ? shown === total : shown > budget / 2 - 201, `${shown} of ${budget}`);
        starts.add(window.from);
      }
      const steps = Math.ceil((marks.at(-1)?.endsAt ?? 0) / Math.floor(budget / 2));
      assert.ok(starts.size <= steps + 1, `${starts.size} starts in ${steps} steps`);
    }),
    { numRuns: 300, includeErrorInReport: true },
  );
});

test('a last message larger than the budget is shown alone', () => {
  assert.equal(windowOf(marksOf([30, 500]), 100), { from: 4, to: 4 });
});

test('a long discussion drops marks by halves and its windows stay in step', () => {
  let at = given({ participants: [] });
  const starts = new Set<number>();
  for (let i = 0; i < 450; i += 1) {
    at = at.when(post('Eve', 'A message of some length, as people write them.'));
    starts.add(windowOf(at.existing().marks, 1500)?.from ?? -1);
    assert.ok(at.existing().marks.length <= 400);
  }
  assert.is(at.existing().messages, 450);
  assert.is(at.existing().marks[0]?.revision, 201);
  // 36 tokens a message: 450 messages are 22 steps of 750 tokens.
  assert.ok(starts.size <= 23, `${starts.size}`);
});

test.run();
