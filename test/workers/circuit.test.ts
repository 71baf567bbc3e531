import * as assert from 'uvu/assert';
import type { AgentProfile } from '../../domain/agent/events.ts';
import { ModelFailure, type StopReason } from '../../domain/model.ts';
import { chooseModel } from '../../workers/chooseModel.ts';
import { createCircuits, verdictOf, type Circuits, type CircuitSettings, type Verdict } from '../../workers/circuit.ts';
import { given } from '../domain/given.ts';
import { suite } from '../harness.ts';

const test = suite('workers: circuits of providers');

const fails: Verdict = { provider: 'fails', retryAfterMs: 0 };
const answers: Verdict = { provider: 'answers' };
const unknown: Verdict = { provider: 'unknown' };

interface World {
  readonly circuits: Circuits;
  /** The gauge of each provider. */
  readonly gauge: Map<string, number>;
  /** What randomness answers, in [0, 1). */
  jitter: number;
  nowMs: number;
}

function world(circuit: Partial<CircuitSettings> = {}): World {
  const gauge = new Map<string, number>();
  const silent = { info: () => undefined, warn: () => undefined };
  const circuits = createCircuits({
    engine: { clock: { monotonic: () => self.nowMs }, ids: { random: () => self.jitter } },
    telemetry: { set: (_name, value, labels = {}) => void gauge.set(labels.provider ?? '', value) },
    log: silent,
    settings: { circuit, deadlines: { totalMs: 300_000 } },
  });
  const self: World = { circuits, gauge, jitter: 0, nowMs: 1_000 };
  return self;
}

function opened(circuit: Partial<CircuitSettings> = {}): World {
  const at = world(circuit);
  for (let i = 0; i < 5; i += 1) at.circuits.ended('ollama', `turn ${i}`, fails);
  return at;
}

test('opens after five failures in a row, of this provider alone', () => {
  const at = world();
  for (let i = 0; i < 4; i += 1) at.circuits.ended('ollama', 't', fails);
  at.circuits.ended('ollama', 't', answers);
  for (let i = 0; i < 4; i += 1) at.circuits.ended('ollama', 't', i % 2 ? unknown : fails);
  for (let i = 0; i < 2; i += 1) at.circuits.ended('ollama', 't', fails);
  assert.is(at.circuits.waitMs('ollama', 't'), 0, 'four in a row');
  assert.is(at.gauge.get('ollama'), undefined);
  at.circuits.ended('ollama', 't', fails);
  assert.is(at.circuits.waitMs('ollama', 't'), 5_000);
  assert.is(at.circuits.waitMs('openai', 't'), 0);
  assert.equal([...at.gauge], [['ollama', 1]]);
});

test('after its pause one turn tries; its answer closes the circuit', () => {
  const at = opened();
  at.nowMs += 4_999;
  assert.is(at.circuits.waitMs('ollama', 'a'), 1);
  at.nowMs += 1;
  assert.is(at.circuits.waitMs('ollama', 'a'), 0);
  assert.is(at.circuits.waitMs('ollama', 'a'), 0, 'the turn that tries may ask again');
  assert.is(at.circuits.waitMs('ollama', 'b'), 5_000, 'the others wait');
  at.circuits.ended('ollama', 'a', answers);
  assert.is(at.circuits.waitMs('ollama', 'b'), 0);
  assert.is(at.gauge.get('ollama'), 0);
  for (let i = 0; i < 4; i += 1) at.circuits.ended('ollama', 't', fails);
  assert.is(at.circuits.waitMs('ollama', 'b'), 0, 'it counts from nothing again');
});

test('a trial that fails opens for twice as long, up to a minute', () => {
  const at = opened();
  const pauses: number[] = [];
  for (let i = 0; i < 6; i += 1) {
    at.nowMs += at.circuits.waitMs('ollama', 'a');
    assert.is(at.circuits.waitMs('ollama', 'a'), 0);
    at.circuits.ended('ollama', 'z', fails);
    at.circuits.ended('ollama', 'a', fails);
    pauses.push(at.circuits.waitMs('ollama', 'a'));
  }
  assert.equal(
    pauses,
    [10_000, 20_000, 40_000, 60_000, 60_000, 60_000],
    'and calls from before it opened change nothing',
  );
});

test('a trial that says nothing, is given back or lasts for ever makes room for the next one', () => {
  const at = opened();
  at.nowMs += 5_000;
  assert.is(at.circuits.waitMs('ollama', 'a'), 0);
  at.circuits.ended('ollama', 'a', unknown);
  assert.is(at.circuits.waitMs('ollama', 'b'), 0);
  at.circuits.giveBack('a');
  assert.is(at.circuits.waitMs('ollama', 'c'), 5_000, 'another turn cannot give it back');
  at.circuits.giveBack('b');
  assert.is(at.circuits.waitMs('ollama', 'c'), 0);
  at.nowMs += 300_000;
  assert.is(at.circuits.waitMs('ollama', 'd'), 0);
});

test('Retry-After counts once the failures are enough, and for five minutes at most', () => {
  const storm = (retryAfterMs: number): Verdict => ({ provider: 'fails', retryAfterMs });
  const at = world();
  for (let i = 0; i < 4; i += 1) at.circuits.ended('ollama', 't', storm(30_000));
  assert.is(at.circuits.waitMs('ollama', 't'), 0);
  at.circuits.ended('ollama', 't', storm(30_000));
  assert.is(at.circuits.waitMs('ollama', 't'), 30_000);
  at.nowMs += 30_000;
  assert.is(at.circuits.waitMs('ollama', 't'), 0);
  at.circuits.ended('ollama', 't', storm(86_400_000));
  assert.is(at.circuits.waitMs('ollama', 't'), 300_000);
  const short = world();
  for (let i = 0; i < 5; i += 1) short.circuits.ended('ollama', 't', storm(1));
  assert.is(short.circuits.waitMs('ollama', 't'), 5_000, 'never less than its own pause');
});

test('turns that wait do not come all at once', () => {
  const at = opened();
  const waits = [0, 0.25, 0.5, 0.999].map((jitter) => {
    at.jitter = jitter;
    return at.circuits.waitMs('ollama', 'a');
  });
  assert.equal(waits, [5_000, 6_250, 7_500, 9_995]);
});

test('the state’s model is asked; while its provider is left alone the next one, and why is said', () => {
  const profile: AgentProfile = {
    name: 'Ada',
    instructions: 'Be brief.',
    model: { provider: 'ollama', name: 'a' },
    fallbacks: [
      { provider: 'ollama', name: 'b' },
      { provider: 'offline', name: 'c' },
    ],
  };
  const turn = given().turn();
  const chosen = (at: World, more: Partial<typeof turn> = {}, by = profile) => {
    const choice = chooseModel(by, { ...turn, ...more }, at.circuits);
    return typeof choice === 'number' ? choice : [choice.model.name, choice.chain ?? null];
  };
  const alone: AgentProfile = { name: 'Bob', instructions: '', model: profile.model };
  assert.equal(chosen(world()), ['a', { index: 0, length: 3 }]);
  assert.equal(chosen(world(), { nextModel: 1 }), ['b', { index: 1, length: 3, reason: 'failed' }]);
  assert.equal(chosen(world(), {}, alone), ['a', null]);
  assert.equal(chosen(opened()), ['c', { index: 2, length: 3, reason: 'circuit_open' }]);
  assert.equal(chosen(opened(), { nextModel: 2 }), ['c', { index: 2, length: 3, reason: 'failed' }]);
  assert.is(chosen(opened(), { spentModels: [2] }), 5_000);
  assert.is(chosen(opened(), {}, alone), 5_000);
  const both = opened();
  for (let i = 0; i < 5; i += 1) both.circuits.ended('offline', 't', { provider: 'fails', retryAfterMs: 2 });
  assert.is(chosen(both), 5_000);
  both.nowMs += 5_000;
  assert.equal(chosen(both), ['a', { index: 0, length: 3 }], 'the first that may be tried');
});

test('what an attempt says of its provider', () => {
  const rest = { text: '', usage: { inputTokens: 0, outputTokens: 0, source: 'reported' as const } };
  const times = { firstTokenMs: null, totalMs: 0 };
  const of = (reason: StopReason, options: ConstructorParameters<typeof ModelFailure>[2] = {}, asked = true) => {
    const failure = new ModelFailure(reason as ModelFailure['reason'], 'why', options);
    return verdictOf({ outcome: 'failed', failure, ...rest, ...times }, asked);
  };
  assert.equal(verdictOf({ outcome: 'answered', finishReason: 'max_tokens', ...rest, ...times }, true), answers);
  assert.equal(of('error'), fails);
  assert.equal(of('time_out', { retryAfterMs: 7 }), { provider: 'fails', retryAfterMs: 7 });
  assert.equal(of('error', {}, false), fails, 'it could not be described');
  for (const reason of ['invalid_output', 'refused'] as const) assert.equal(of(reason), answers, reason);
  assert.equal(of('error', { promptTooLong: true }), answers);
  assert.equal(of('error', { retryable: false }), answers, 'it refused the model or the key');
  assert.equal(of('error', { retryable: false }, false), unknown, 'it was not asked');
  for (const reason of ['cancelled', 'lease_lost', 'budget_exhausted'] as const) assert.equal(of(reason), unknown);
});

test.run();
