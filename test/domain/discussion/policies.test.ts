import * as assert from 'uvu/assert';
import { whySchema, type Policy } from '../../../domain/discussion/events.ts';
import { chooseSpeaker } from '../../../domain/discussion/policies.ts';
import { agent, given, person, spoken, type Scene } from '../given.ts';
import { suite } from '../../harness.ts';

const test = suite('turn policies');

const names = ['Ada', 'Bob', 'Cleo'];
const policies: readonly Policy[] = [
  { kind: 'round-robin' },
  { kind: 'least-recently-spoke' },
  { kind: 'weighted-random', seed: 1, weights: {} },
  { kind: 'addressed' },
];

function three(policy: Policy): Scene {
  return given({ policy, participants: names.map(agent) });
}

/** Names of those who had the floor, over some turns. */
function order(at: Scene, turns: number): string[] {
  const speakers: string[] = [];
  for (let now = at; speakers.length < turns; now = spoken(now)) speakers.push(nameOf(now, now.turn().participantId));
  return speakers;
}

function nameOf(at: Scene, id: string): string {
  return at.existing().participants.find((each) => each.participantId === id)?.name ?? '?';
}

test('every policy records why, chooses among those present, and the same from the same state', () => {
  for (const policy of policies) {
    const at = three(policy);
    const gone = at.when({ kind: 'leave', participantId: at.id('Bob') });
    const choice = chooseSpeaker(gone.existing());
    assert.equal(chooseSpeaker(gone.existing()), choice);
    assert.equal(whySchema.parse(choice?.why), choice?.why);
    assert.equal(choice?.why.candidates, [at.id('Ada'), at.id('Cleo')]);
    assert.equal([choice?.why.policy, choice?.why.policyVersion], [policy.kind, 1]);
    assert.ok((choice?.why.reason.length ?? 0) > 10);
    assert.not.ok(order(gone, 12).includes('Bob'), policy.kind);
  }
});

test('manual leaves the choice to people; nobody is chosen where nobody is', () => {
  assert.is(chooseSpeaker(three({ kind: 'manual' }).existing()), null);
  for (const policy of policies) {
    assert.is(chooseSpeaker(given({ policy, participants: [] }).existing()), null);
    const at = given({ policy, participants: [agent('Ada')] });
    assert.is(chooseSpeaker(at.when({ kind: 'leave', participantId: at.id('Ada') }).existing()), null);
  }
});

test('round-robin: the order of joining, going on after one who left, newcomers last', () => {
  const at = three({ kind: 'round-robin' });
  assert.equal(order(at, 7), ['Ada', 'Bob', 'Cleo', 'Ada', 'Bob', 'Cleo', 'Ada']);
  const second = spoken(at);
  const gone = second.when({ kind: 'leave', participantId: at.id('Bob') });
  assert.equal(order(gone, 3), ['Cleo', 'Ada', 'Cleo']);
  const joined = gone.when({ kind: 'join', participant: person('Eve') });
  assert.is(nameOf(joined, spoken(joined).turn().participantId), 'Eve');
});

test('least-recently-spoke: who waited longest, newcomers first, with the numbers as scores', () => {
  const at = three({ kind: 'least-recently-spoke' });
  assert.equal(order(at, 6), ['Ada', 'Bob', 'Cleo', 'Ada', 'Bob', 'Cleo']);
  const joined = spoken(spoken(spoken(at))).when({ kind: 'join', participant: agent('Dora') });
  const next = spoken(joined);
  assert.is(nameOf(next, next.turn().participantId), 'Dora');
  const { scores, reason } = next.data('TurnRequested').why;
  assert.equal(scores, { [at.id('Ada')]: 4, [at.id('Bob')]: 2, [at.id('Cleo')]: 3, [next.id('Dora')]: 0 });
  assert.match(reason, /not had a turn yet/);
  assert.match(spoken(next).data('TurnRequested').why.reason, /at number 2, longest ago/);
});

test('weighted-random: in proportion to the weights, reproducible from the seed, another seed another order', () => {
  const base = three({ kind: 'weighted-random', seed: 1, weights: {} });
  const weights = { [base.id('Bob')]: 3, [base.id('Cleo')]: 0 };
  const draw = (seed: number, turnsRequested: number) => {
    const state = { ...base.existing(), policy: { kind: 'weighted-random', seed, weights } as const, turnsRequested };
    return nameOf(base, chooseSpeaker(state)?.participantId ?? '');
  };
  const drawn = Array.from({ length: 4000 }, (_, i) => draw(1, i));
  const count = (name: string) => drawn.filter((each) => each === name).length;
  assert.is(count('Cleo'), 0);
  // Three in four of 4000: 3000, standard deviation 27.
  assert.ok(Math.abs(count('Bob') - 3000) < 150, `${count('Bob')} of 4000`);
  const first = drawn.slice(0, 50).join();
  assert.is(Array.from({ length: 50 }, (_, i) => draw(1, i)).join(), first);
  assert.is.not(Array.from({ length: 50 }, (_, i) => draw(2, i)).join(), first);
  assert.match(chooseSpeaker(base.existing())?.why.reason ?? '', /seed 1 for turn 2/);
});

test('weighted-random: where all weights are 0 everybody has the same chance', () => {
  const base = three({ kind: 'weighted-random', seed: 1, weights: {} });
  const weights = Object.fromEntries(names.map((name) => [base.id(name), 0]));
  const seen = new Set<string>();
  for (let turnsRequested = 0; turnsRequested < 60; turnsRequested += 1) {
    const state = {
      ...base.existing(),
      policy: { kind: 'weighted-random', seed: 9, weights } as const,
      turnsRequested,
    };
    seen.add(nameOf(base, chooseSpeaker(state)?.participantId ?? ''));
  }
  assert.equal([...seen].sort(), names);
});

test.run();
