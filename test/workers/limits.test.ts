import * as assert from 'uvu/assert';
import type { Slots } from '../../domain/ports.ts';
import { openDatabase } from '../../infra/database.ts';
import { migrate } from '../../infra/migrate.ts';
import { createPostgresSlots } from '../../infra/postgresSlots.ts';
import { createPlaces } from '../../workers/places.ts';
import { defaultWorkerSettings } from '../../workers/worker.ts';
import { suite } from '../harness.ts';
import { crewOf, NEVER_MS } from './crew.ts';
import type { TestEngine, TestEngineOptions } from './engineForTests.ts';
import { createGatedModel } from './gatedModel.ts';
import { checkEnded } from './logChecks.ts';
import { anAgent, history, only, open, until, untilConcluded, untilEvent } from './talks.ts';

const test = suite('workers: limits per model');
const crew = crewOf(test);

function start(limits: Record<string, number>, { settings, ...options }: TestEngineOptions = {}): Promise<TestEngine> {
  const more = { sweepMs: NEVER_MS, leaseMs: 60_000, drainMs: 1, limits: new Map(Object.entries(limits)), ...settings };
  return crew.start({ ...options, settings: more });
}

/** Discussions of one turn each on a model. */
async function many(
  on: TestEngine,
  count: number,
  name: string,
  more: Record<string, unknown> = {},
): Promise<string[]> {
  const agentId = await anAgent(on, 'Ada', { name });
  const body = { participants: [{ agentId }], limits: { maxTurns: 1 }, ...more };
  return Promise.all(Array.from({ length: count }, () => open(on, body)));
}

const nothing = () => undefined;
const silent = {
  log: { info: nothing, warn: nothing, error: nothing },
  telemetry: { count: nothing, set: nothing, observe: nothing },
};

async function slotsDatabase() {
  const opened = openDatabase({
    connection: crew.database.url,
    poolMax: 2,
    embedded: false,
    applicationName: 'places test',
  });
  await migrate(opened.knex);
  return opened;
}

async function claimsOf(on: TestEngine, id: string) {
  return only(await history(on, id), 'TurnClaimed');
}

test(
  'a limit of two over three workers is used in full and never exceeded, and every turn ends',
  async () => {
    const limits = { 'offline/m': 2, offline: 5 };
    const [on] = [await start(limits), await start(limits), await start(limits)];
    crew.models.script('m', () => [{ waitMs: 20 }, { say: 'Said.' }]);
    const ids = await many(on, 30, 'm');
    await until(() => crew.models.waiting('m') === 2);
    crew.models.open('m');
    for (const id of ids) {
      const events = await untilConcluded(on, id, 20_000);
      checkEnded(events, 1);
      assert.is(only(events, 'TurnClaimed').length, 1);
    }
    assert.is(crew.models.most('m'), 2);
    assert.is(crew.models.calls('m').length, 30);
    assert.ok(crew.engines.some((each) => each.counted('model_places_waiting_total') > 0));
  },
  { deadlineMs: 40_000 },
);

test('a turn whose model is full is passed over by younger ones of lower priority, and runs when a place is free', async () => {
  const on = await start({ 'offline/slow': 1 }, { settings: { concurrency: 2 } });
  const slow = await many(on, 20, 'slow', { priority: 9 });
  await until(() => crew.models.waiting('slow') === 1);
  crew.models.open('fast');
  for (const id of await many(on, 5, 'fast', { priority: 0 })) checkEnded(await untilConcluded(on, id), 1);
  assert.is(crew.models.most('slow'), 1);
  assert.is(crew.models.calls('slow').length, 0);
  crew.models.open('slow');
  for (const id of slow) checkEnded(await untilConcluded(on, id), 1);
  assert.is(crew.models.most('slow'), 1);
});

test('a long queue for a full model costs one question for a place at each look, not one for each turn', async () => {
  let looks = 0;
  const counting = (turns: TestEngine['turns']): TestEngine['turns'] => ({
    ...turns,
    waiting(options) {
      if ((options.without ?? []).length === 0) looks += 1;
      return turns.waiting(options);
    },
  });
  const on = await start({ 'offline/slow': 1 }, { turns: counting });
  await many(on, 60, 'slow');
  await until(() => crew.models.waiting('slow') === 1 && crew.bus.unacknowledged() === 0);
  const refused = () => on.counted('model_places_waiting_total');
  const [looksBefore, refusedBefore] = [looks, refused()];
  await until(() => looks >= looksBefore + 5, 9_000);
  assert.ok(refused() > refusedBefore, 'it is asked again');
  assert.ok(refused() - refusedBefore <= looks - looksBefore + 2, `${refused() - refusedBefore} in ${looks} looks`);
});

test('a limit of a provider holds for all its models together', async () => {
  const on = await start({ offline: 2 });
  for (const name of ['a', 'b', 'c']) await many(on, 2, name);
  const waiting = () => ['a', 'b', 'c'].reduce((sum, name) => sum + crew.models.waiting(name), 0);
  await until(() => on.counted('model_places_waiting_total') >= 3);
  assert.is(waiting(), 2);
  for (const name of ['a', 'b', 'c']) crew.models.open(name);
  // Whoever was passed over while a place was freed is found by the next look, which is every five seconds.
  await until(
    () => crew.models.calls('a').length + crew.models.calls('b').length + crew.models.calls('c').length === 6,
    15_000,
  );
});

test('a place that another worker frees and does not take is found soon, without sweep and wake-up', async () => {
  const limits = { 'offline/m': 1 };
  const a = await start(limits);
  const [first = ''] = await many(a, 1, 'm');
  await until(() => crew.models.waiting('m') === 1);
  const b = await start(limits);
  const [second = ''] = await many(b, 1, 'm');
  await until(() => b.counted('model_places_waiting_total') > 0);
  crew.bus.lose = () => true;
  await a.stop();
  crew.models.open('m');
  for (const id of [first, second]) await untilConcluded(b, id);
  assert.is(crew.models.most('m'), 1);
});

test('an attempt gives back its own place only, not that of another one at the same turn', async () => {
  const opened = await slotsDatabase();
  const slots = createPostgresSlots(opened);
  const { log, telemetry } = silent;
  const settings = { ...defaultWorkerSettings, limits: new Map([['offline', 2]]) };
  const [late, winner, next] = ['late', 'winner', 'next'].map((incarnation) =>
    createPlaces({ slots, settings, incarnation, log, telemetry }),
  );
  assert.ok(late && winner && next);
  const model = { provider: 'offline', name: 'm' };
  assert.is(await late.take('turn', model), null);
  assert.is(await winner.take('turn', model), null);
  assert.equal(await next.take('other', model), { kind: 'full', model: 'offline/m' });
  assert.is(await late.free('turn'), true);
  assert.is(await late.free('turn'), false);
  assert.is(await next.take('other', model), null);
  assert.equal(await late.take('third', model), { kind: 'full', model: 'offline/m' }, 'the winner has its place still');
  await opened.close();
});

test('a turn that got a place at one model and none at the next gives back what it has', async () => {
  const opened = await slotsDatabase();
  const slots = createPostgresSlots(opened);
  const limits = new Map([
    ['offline', 1],
    ['ollama', 1],
  ]);
  const settings = { ...defaultWorkerSettings, limits };
  const places = createPlaces({ slots, settings, incarnation: 'moving', ...silent });
  const other = createPlaces({ slots, settings, incarnation: 'other', ...silent });
  assert.is(await other.take('other', { provider: 'ollama', name: 'm' }), null);
  assert.is(await places.take('turn', { provider: 'offline', name: 'm' }), null);
  assert.equal(await places.take('turn', { provider: 'ollama', name: 'm' }), { kind: 'full', model: 'ollama/m' });
  assert.is(await places.free('turn'), true);
  assert.is(await other.take('next', { provider: 'offline', name: 'm' }), null);
  await opened.close();
});

test('the place of a worker that died comes back after its time, that of a restarted one at once', async () => {
  const limits = { 'offline/m': 1 };
  const short = { leaseMs: 1_000, sweepMs: 250 };
  const a = await start(limits, { settings: short });
  const [held = ''] = await many(a, 1, 'm');
  await until(() => crew.models.waiting('m') === 1);
  await a.kill();
  crew.models.open('m');
  const b = await start(limits, { settings: short, worker: 'same' });
  checkEnded(await untilConcluded(b, held), 1);
  const gate = createGatedModel();
  const c = await start(limits, { models: gate, worker: 'again' });
  await b.stop();
  const [again = ''] = await many(c, 1, 'm');
  await until(() => gate.waiting('m') === 1);
  await c.kill();
  const d = await start(limits, { worker: 'again' });
  checkEnded(await untilConcluded(d, again), 1);
  assert.is(only(await history(d, again), 'TurnAttemptAbandoned')[0]?.data.detail, 'its worker was started again');
});

test('while nobody knows whether there are places no turn is claimed, and afterwards all run', async () => {
  const on = await start({ 'offline/m': 1 });
  on.faults.slotsAway = true;
  crew.models.open('m');
  const [id = ''] = await many(on, 1, 'm');
  const [free = ''] = await many(on, 1, 'unlimited');
  crew.models.open('unlimited');
  checkEnded(await untilConcluded(on, free), 1);
  await until(() => on.logged.some((line) => line.startsWith('no place at a model could be taken')));
  assert.equal(await claimsOf(on, id), []);
  on.faults.slotsAway = false;
  checkEnded(await untilConcluded(on, id), 1);
});

test('without limits the places are not asked for', async () => {
  const calls: string[] = [];
  const counting = (slots: Slots): Slots => ({
    take: async (...args) => (calls.push('take'), slots.take(...args)),
    renew: async (...args) => (calls.push('renew'), slots.renew(...args)),
    free: async (...args) => (calls.push('free'), slots.free(...args)),
  });
  const on = await start({}, { slots: counting });
  crew.models.open('m');
  const [id = ''] = await many(on, 1, 'm');
  await untilConcluded(on, id);
  assert.equal(calls, []);
  const limited = await start({ 'offline/x': 1 }, { slots: counting, settings: { renewMs: 50 } });
  const [slow = ''] = await many(limited, 1, 'x');
  await untilEvent(limited, slow, ({ type }) => type === 'TurnClaimed');
  await on.stop();
  await until(() => calls.includes('renew') || crew.models.waiting('x') === 0);
  crew.models.open('x');
  await untilConcluded(limited, slow);
  assert.is(calls[0], 'take');
});
test.run();
