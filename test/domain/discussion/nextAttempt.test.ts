import * as assert from 'uvu/assert';
import type { StopReason } from '../../../domain/model.ts';
import { suite } from '../../harness.ts';
import { abandon, claim, given, startMs, type Scene } from '../given.ts';

const test = suite('discussion: which model is asked next');

type Abandoned = Parameters<typeof abandon>[1];

/** The open turn's next attempt, with the model that its state names, fails. */
function fails(at: Scene, length: number, how: Abandoned = {}): Scene {
  const index = at.turn().nextModel;
  const reason = index === 0 ? {} : { reason: 'failed' as const };
  const chain = { index, length, ...reason };
  const held = at.when(claim(at, length === 1 ? {} : { chain }));
  return held.when(abandon(held, how));
}

/** Models asked in order while every attempt ends in this way, until the turn has failed. */
function walk(length: number, how: (attempt: number, index: number) => Abandoned): number[] {
  const asked: number[] = [];
  let at = given();
  for (let attempt = 1; at.existing().turnsRequested === 1; attempt += 1) {
    const index = at.turn().nextModel;
    asked.push(index);
    at = fails(at, length, how(attempt, index));
  }
  at.gives('TurnAttemptAbandoned', 'TurnFailed', 'TurnRequested');
  assert.equal([at.turn().nextModel, at.turn().spentModels], [0, []], 'the next turn begins with the own model');
  return asked;
}

const forGood: Abandoned = { retryable: false };
const invalid: Abandoned = { reason: 'invalid_output' };
const tooLong: Abandoned = { halveWindow: true };

test('a failure moves on at once, after the last model the first is asked again after the pause', () => {
  const first = fails(given(), 2);
  assert.equal([first.turn().nextModel, first.data('TurnAttemptAbandoned').nextModel], [1, 1]);
  assert.ok(first.turn().dueAtMs - startMs <= 100, 'no pause');
  const second = fails(first.later(100), 2, { reason: 'time_out' });
  assert.equal([second.turn().nextModel, second.data('TurnAttemptAbandoned').retryAfterMs], [0, 1000]);
  fails(second, 2).gives('TurnAttemptAbandoned', 'TurnFailed', 'TurnRequested');
});

const walks: [string, number, (attempt: number, index: number) => Abandoned, number[]][] = [
  ['one model has three failures', 1, () => ({}), [0, 0, 0]],
  ['one model that fails for good has one', 1, () => forGood, [0]],
  ['two models share three failures', 2, () => ({}), [0, 1, 0]],
  ['five models are all reached', 5, () => ({}), [0, 1, 2, 3, 4]],
  ['models that fail for good are asked once', 3, () => forGood, [0, 1, 2]],
  ['a spent model is passed over', 2, (_, index) => (index === 0 ? forGood : {}), [0, 1, 1]],
  ['a spent fall-back too', 3, (_, index) => (index === 1 ? forGood : {}), [0, 1, 2]],
  ['the own model again when its fall-back is spent', 2, (_, index) => (index === 1 ? forGood : {}), [0, 1, 0]],
  ['invalid output is tried again while the others can still be reached', 2, () => invalid, [0, 0, 1]],
  ['invalid output of three models', 3, () => invalid, [0, 1, 2]],
  ['invalid output of one model', 1, () => invalid, [0, 0, 0]],
  ['prompts that are too long likewise', 2, () => tooLong, [0, 0, 1]],
  ['a refused content asks nobody else', 3, () => ({ reason: 'refused', retryable: false }), [0]],
];
for (const [what, length, how, asked] of walks) test(`walk: ${what}`, () => assert.equal(walk(length, how), asked));

test('whatever the models do, a chain is walked to its end before the turn fails', () => {
  const ways: Abandoned[] = [{}, forGood, invalid, tooLong, { reason: 'time_out' }];
  for (let length = 2; length <= 5; length += 1)
    for (let seed = 0; seed < 300; seed += 1) {
      const asked = walk(length, (attempt) => ways[(seed * 7 + attempt * (1 + (seed % 4))) % ways.length] ?? {});
      assert.is(new Set(asked).size, length, `${length} models, ${seed}: ${asked.join(' ')}`);
      assert.ok(asked.length <= Math.max(3, length));
    }
});

test('a lost worker moves nothing on and costs no failure', () => {
  const moved = fails(given(), 3);
  const lost = fails(moved.later(100), 3, { reason: 'lease_lost', retryAfterMs: 0 });
  assert.equal([lost.turn().nextModel, lost.turn().failures, lost.turn().dueAtMs], [1, 1, lost.nowMs]);
  assert.is(lost.data('TurnAttemptAbandoned').nextModel, undefined);
});

test('another model starts with its whole window', () => {
  const halved = fails(given(), 2, tooLong);
  assert.equal([halved.turn().nextModel, halved.turn().windowDivisor], [0, 2]);
  const moved = fails(halved, 2);
  assert.equal([moved.turn().nextModel, moved.turn().windowDivisor], [1, 1]);
});

test('a model that was passed over is asked again in its turn', () => {
  const at = given();
  const held = at.when(claim(at, { chain: { index: 1, length: 2, reason: 'circuit_open' } }));
  const next = held.when(abandon(held));
  assert.equal([next.turn().nextModel, next.data('TurnAttemptAbandoned').retryAfterMs], [0, 1000]);
});

test('reasons that end an attempt without blame leave the model as it is', () => {
  const reasons: StopReason[] = ['cancelled', 'budget_exhausted'];
  for (const reason of reasons) assert.is(fails(given(), 3, { reason }).turn().nextModel, 0);
});

test.run();
