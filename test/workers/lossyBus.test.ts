import * as assert from 'uvu/assert';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bus, WakeUp } from '../../domain/ports.ts';
import { suite } from '../harness.ts';
import { postgresForTests, type TestDatabase } from '../services.ts';
import { startTestEngine, type TestEngine, type TestEngineOptions } from './engineForTests.ts';
import { checkEnded } from './logChecks.ts';
import { only, talk, until, untilConcluded, untilEvent } from './talks.ts';

const test = suite('workers: wake-ups');
const engines: TestEngine[] = [];
let database: TestDatabase;
test.before.each(async () => void (database = await postgresForTests()));
test.after.each(async () => {
  await Promise.all(engines.splice(0).map((each) => each.stop()));
  await database.stop();
});

async function start(options: TestEngineOptions = {}): Promise<TestEngine> {
  const on = await startTestEngine(database.url, options);
  engines.push(on);
  return on;
}

/** A bus on which `wake` is another one. */
function waking(bus: Bus, wake: (wakeUp: WakeUp) => Promise<void>): Bus {
  return {
    wake,
    wakeUps: (options) => bus.wakeUps(options),
    publish: (delta) => bus.publish(delta),
    endTurn: (turnId) => bus.endTurn(turnId),
    deltas: (...args) => bus.deltas(...args),
  };
}

test('a bus that drops what the relay says and keeps only what sweeps say carries a discussion to its end', async () => {
  // The relay names the revision of the request; sweeps name none.
  const on = await start({
    bus: (bus) => waking(bus, async (wakeUp) => (wakeUp.revision > 0 ? undefined : bus.wake(wakeUp))),
  });
  const id = await talk(on, 'm', { limits: { maxTurns: 4 } });
  checkEnded(await untilConcluded(on, id), 4);
});

test('wake-ups that come three times, late and in another order do no harm', async () => {
  const messy = (bus: Bus) =>
    waking(bus, async (wakeUp) => {
      for (const ms of [0, 3, 25, 60]) void delay(ms * Math.random() * 2).then(() => bus.wake(wakeUp));
    });
  const on = await start({ bus: messy });
  on.models.script('m', ({ n }) => [{ waitMs: 10 }, { say: `Number ${n}.` }]);
  const ids = await Promise.all(Array.from({ length: 5 }, () => talk(on, 'm', { limits: { maxTurns: 4 } })));
  for (const id of ids) {
    const events = await untilConcluded(on, id);
    checkEnded(events, 4);
    assert.is(only(events, 'TurnClaimed').length, 4, 'one call for each turn');
  }
  assert.is(on.models.calls('m').length, 20);
});

test('a second wake-up for a turn that runs ends neither its lease nor what readers see of it', async () => {
  const a = await start();
  await start({ models: a.models });
  a.models.script('m', () => [{ say: 'Long' }, { waitMs: 1_800 }, { say: ' enough.' }]);
  const id = await talk(a, 'm', { limits: { maxTurns: 1 } });
  const events = await untilEvent(a, id, ({ type }) => type === 'TurnClaimed');
  const [claim] = only(events, 'TurnClaimed');
  const owner = engines.find(({ worker }) => worker === claim?.data.worker) ?? a;
  const turnId = claim?.data.turnId ?? '';
  await until(() => a.models.calls('m').length === 1);
  for (let i = 0; i < 5; i += 1)
    await owner.bus.wake({ kind: 'turn', project: 'default', discussionId: id, turnId, revision: 0 });
  await delay(100);
  const replay = owner.bus.deltas({ project: '*' }, { signal: AbortSignal.timeout(1_000) })[Symbol.asyncIterator]();
  const first = await replay.next();
  assert.is(first.done === true ? null : first.value.text, 'Long', 'its deltas are still replayed');
  checkEnded(await untilConcluded(a, id), 1);
  assert.is(a.models.calls('m').length, 1, 'nobody took it over');
});

test('more discussions than places: all end, and those of high priority begin before those of low', async () => {
  const on = await start({ settings: { concurrency: 2 } });
  on.models.script('m', () => [{ waitMs: 40 }, { say: 'Done.' }]);
  const low: string[] = [];
  for (let i = 0; i < 6; i += 1) low.push(await talk(on, ['m'], { priority: 0, limits: { maxTurns: 3 } }));
  const high = await talk(on, ['m'], { priority: 9, limits: { maxTurns: 3 } });
  const end = (await untilConcluded(on, high)).at(-1)?.position ?? 0n;
  let before = 0;
  for (const id of low) {
    const events = await untilConcluded(on, id);
    checkEnded(events, 3);
    if ((events.at(-1)?.position ?? 0n) < end) before += 1;
  }
  assert.ok(before <= 3, `${before} of 6 of low priority ended first`);
});

test(
  'two engines on one database hold 20 discussions, and nothing is doubled',
  async () => {
    const [a, b] = [await start(), await start()];
    for (const on of [a, b]) on.models.script('m', ({ n }) => [{ waitMs: 5 }, { say: `${on.worker} says ${n}.` }]);
    const ids = await Promise.all(
      Array.from({ length: 20 }, (_, i) => talk(i % 2 === 0 ? a : b, 'm', { limits: { maxTurns: 5 } })),
    );
    const workers = new Set<string>();
    for (const id of ids) {
      const events = await untilConcluded(a, id, 20_000);
      checkEnded(events, 5);
      for (const { data } of only(events, 'TurnClaimed')) workers.add(data.worker);
    }
    assert.is(workers.size, 2, 'both had their share');
    assert.is(a.models.calls('m').length + b.models.calls('m').length, 100, 'one call for each turn');
    assert.is(a.counted('turn_takeovers_total') + b.counted('turn_takeovers_total'), 0);
  },
  { deadlineMs: 40_000 },
);
test.run();
