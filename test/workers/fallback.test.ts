import * as assert from 'uvu/assert';
import { registerAgent, registerAgentSchema } from '../../commands/registerAgent.ts';
import { partsOf } from '../../domain/discussion/lineage.ts';
import { ModelFailure } from '../../domain/model.ts';
import type { CircuitSettings } from '../../workers/circuit.ts';
import { suite } from '../harness.ts';
import { postgresForTests, type TestDatabase } from '../services.ts';
import { startTestEngine, type TestEngine } from './engineForTests.ts';
import { checkEnded, checkLog, rerender } from './logChecks.ts';
import { createScriptedModel, failsTimes, type ScriptedModel } from './scriptedModel.ts';
import { asked, only, open, until, untilConcluded, untilEvent, type Recorded } from './talks.ts';

const test = suite('workers: fall-backs and circuits');
const engines: TestEngine[] = [];
let database: TestDatabase;
test.before.each(async () => void (database = await postgresForTests()));
test.after.each(async () => {
  await Promise.all(engines.splice(0).map((each) => each.stop()));
  await database.stop();
});

interface Started extends TestEngine {
  /** The provider `ollama`, beside `offline`. */
  readonly other: ScriptedModel;
}

async function start(circuit: Partial<CircuitSettings> = { failures: 100 }): Promise<Started> {
  const other = createScriptedModel();
  const on = await startTestEngine(database.url, {
    more: new Map([['ollama', other]]),
    settings: { retryMs: 60, circuit },
  });
  engines.push(on);
  return { ...on, other };
}

/** A discussion of one agent with models `provider/name`, the first its own. @returns its id. */
async function chained(on: TestEngine, models: readonly string[], maxTurns = 1): Promise<string> {
  const [model, ...fallbacks] = models.map((each) => {
    const [provider, name] = each.split('/');
    return { provider, name };
  });
  const body = registerAgentSchema.parse({ name: 'Ada', instructions: 'You are Ada.', model, fallbacks });
  const { id: agentId } = await registerAgent(on.engine, body, asked(on));
  return open(on, { participants: [{ agentId }], limits: { maxTurns } });
}

const used = { inputTokens: 11, outputTokens: 3, source: 'reported' as const };
const busy = () => new ModelFailure('error', 'the provider is busy', { usage: used });
const unknown = () => new ModelFailure('error', 'there is no such model', { retryable: false, usage: used });
const down = () => [{ fail: busy() }];

/** Who was asked, at which place of the chain, and why there. */
function askedOf(events: readonly Recorded[]): unknown[] {
  return only(events, 'TurnClaimed').map(({ data: { prompt, chain } }) =>
    [prompt.model.name, chain?.index, chain?.reason].filter((each) => each !== undefined),
  );
}

test('the chain is walked without a pause, each model on record with its tokens, and who answered', async () => {
  const on = await start();
  on.models.script('first', down);
  on.other.script('second', () => [{ fail: unknown() }]);
  const id = await chained(on, ['offline/first', 'ollama/second', 'offline/third']);
  const events = await untilConcluded(on, id);
  checkEnded(events, 1);
  assert.equal(askedOf(events), [
    ['first', 0],
    ['second', 1, 'failed'],
    ['third', 2, 'failed'],
  ]);
  const ends = only(events, 'TurnAttemptAbandoned').map(({ data }) => data);
  assert.equal(
    ends.map(({ usage, nextModel, modelSpent }) => [usage, nextModel, modelSpent]),
    [
      [used, 1, undefined],
      [used, 2, true],
    ],
  );
  assert.ok(ends.every(({ retryAfterMs }) => retryAfterMs !== null && retryAfterMs < 45));
  const [completed] = only(events, 'TurnCompleted');
  assert.equal(completed?.data.model, { provider: 'offline', name: 'third', digest: 'digest-third' });
  assert.equal([on.models.calls('first').length, on.other.calls('second').length], [1, 1]);
  const { tokens } = checkLog(events);
  const answer = completed?.data.usage ?? used;
  assert.is(tokens, 2 * 14 + answer.inputTokens + answer.outputTokens, 'each attempt is counted once');
  await rerender(on, id);
  await on.settled();
  const row = await on.turns.one(partsOf(id, []), completed?.data.turnId ?? '');
  assert.equal(
    row?.attempts.map(({ model, fallback }) => [model, fallback]),
    [
      [{ provider: 'offline', name: 'first' }, null],
      [
        { provider: 'ollama', name: 'second' },
        { index: 1, reason: 'failed' },
      ],
      [
        { provider: 'offline', name: 'third' },
        { index: 2, reason: 'failed' },
      ],
    ],
  );
});

test('when all have failed the first is asked again after the usual pause, and then the turn fails', async () => {
  const on = await start();
  on.models.script('first', failsTimes(3, busy));
  on.other.script('second', down);
  const id = await chained(on, ['offline/first', 'ollama/second']);
  const failed = await untilEvent(on, id, ({ type }) => type === 'TurnFailed');
  assert.equal(askedOf(failed), [
    ['first', 0],
    ['second', 1, 'failed'],
    ['first', 0],
  ]);
  const pauses = only(failed, 'TurnAttemptAbandoned').map(({ data }) => data.retryAfterMs);
  assert.ok(pauses[0] !== null && (pauses[0] ?? 99) < 45, `moves on after ${pauses[0]} ms`);
  assert.ok((pauses[1] ?? 0) >= 90, `pause of ${pauses[1]} ms, 120 ± 25 %`);
  assert.is(pauses[2], null);
  const events = await untilConcluded(on, id);
  assert.equal(askedOf(events).slice(3), [
    ['first', 0],
    ['second', 1, 'failed'],
    ['first', 0],
  ]);
});

test('a provider that is not set up, and a model that cannot be described, leave the turn to the fall-back', async () => {
  const on = await start();
  const id = await chained(on, ['openai/gpt', 'offline/second'], 2);
  const events = await untilConcluded(on, id);
  checkEnded(events, 2);
  assert.is(only(events, 'TurnAttemptAbandoned').length, 2, 'each turn begins with the own model');
  assert.match(only(events, 'TurnAttemptAbandoned')[0]?.data.detail ?? '', 'no provider openai is set up');
  on.other.describe = () => Promise.reject(new ModelFailure('error', 'pull it first', { retryable: false }));
  const silent = await untilConcluded(on, await chained(on, ['ollama/gone', 'offline/second']));
  checkEnded(silent, 1);
  assert.is(on.other.calls('gone').length, 0);
});

test('a provider that keeps failing is passed over: no call is made, and the log says why', async () => {
  const on = await start({ failures: 2, pauseMs: 600_000, maxPauseMs: 600_000 });
  on.other.script('first', down);
  const id = await chained(on, ['ollama/first', 'offline/second'], 5);
  const events = await untilConcluded(on, id);
  checkEnded(events, 5);
  const [own, passed] = [
    ['first', 0],
    ['second', 1, 'circuit_open'],
  ];
  const moved = ['second', 1, 'failed'];
  assert.equal(askedOf(events), [own, moved, own, moved, passed, passed, passed]);
  assert.is(on.other.calls('first').length, 2);
  await rerender(on, id);
});

test('without a fall-back the turn waits unclaimed, is tried again after a pause, and the discussion goes on', async () => {
  const on = await start({ failures: 2, pauseMs: 400 });
  let away = true;
  on.other.script('only', () => (away ? down() : [{ say: 'Back again.' }]));
  const id = await chained(on, ['ollama/only'], 4);
  await until(() => on.logged.includes('a provider is left alone'));
  away = false;
  const events = await untilConcluded(on, id);
  checkEnded(events, 4);
  assert.equal(
    only(events, 'TurnClaimed').map(({ data }) => [data.attempt, data.chain]),
    [1, 2, 3, 1, 1, 1].map((attempt) => [attempt, undefined]),
    'waiting spends no attempt',
  );
  const at = (event: Recorded | undefined) => Date.parse(event?.metadata.occurredAt ?? '');
  const waited = at(only(events, 'TurnClaimed')[2]) - at(only(events, 'TurnAttemptAbandoned')[1]);
  assert.ok(waited >= 390, `tried again after ${waited} ms`);
});

test('a worker that dies in the middle of the chain: another one goes on from the log', async () => {
  const a = await start();
  a.models.script('first', down);
  a.other.script('second', () => [{ say: 'I was about' }, { stall: true }]);
  const id = await chained(a, ['offline/first', 'ollama/second', 'offline/third']);
  await until(() => a.other.calls('second').length === 1);
  const b = await start();
  b.models.script('first', () => [{ say: 'Not me.' }]);
  b.other.script('second', down);
  await a.kill();
  const events = await untilConcluded(b, id);
  checkEnded(events, 1);
  assert.equal(askedOf(events), [
    ['first', 0],
    ['second', 1, 'failed'],
    ['second', 1, 'failed'],
    ['third', 2, 'failed'],
  ]);
  assert.equal(
    only(events, 'TurnClaimed').map(({ data }) => data.worker),
    [a.worker, a.worker, b.worker, b.worker],
  );
  assert.is(b.models.calls('first').length, 0);
  await rerender(b, id);
});

test.run();
