import * as assert from 'uvu/assert';
import { discussions } from '../../commands/aggregate.ts';
import { load, stateAt } from '../../commands/states.ts';
import { suite } from '../harness.ts';
import { postgresForTests, type TestDatabase } from '../services.ts';
import { startTestEngine, type TestEngine, type TestEngineOptions } from './engineForTests.ts';
import { checkEnded, checkLog, rerender } from './logChecks.ts';
import type { Move } from './scriptedModel.ts';
import { history, only, talk, until, untilConcluded, untilEvent, type Recorded } from './talks.ts';

const test = suite('workers: workers that die');
const engines: TestEngine[] = [];
let database: TestDatabase;
// Each test has a database of its own: sweepers find everything that is open in theirs.
test.before.each(async () => void (database = await postgresForTests()));
test.after.each(async () => {
  await Promise.all(engines.splice(0).map((each) => each.stop()));
  await database.stop();
});

const figures: string[] = [];
test.after(() => console.log(`takeovers with leases of 800 ms, sweeps every 250 ms: ${figures.join(', ')}`));

async function start(options: TestEngineOptions & { says?: readonly Move[] } = {}): Promise<TestEngine> {
  const { says, ...rest } = options;
  const on = await startTestEngine(database.url, rest);
  engines.push(on);
  if (says !== undefined) on.models.script('m', () => says);
  return on;
}

const atMs = (event: Recorded | undefined): number => Date.parse(event?.metadata.occurredAt ?? '');

test('a worker that died is noticed by its silence, and another one makes the next attempt', async () => {
  const a = await start({ says: [{ say: 'I was about' }, { stall: true }] });
  const id = await talk(a, 'm');
  await untilEvent(a, id, ({ type }) => type === 'TurnClaimed');
  await until(() => a.models.calls('m').length === 1);
  const b = await start({ says: [{ say: 'I go on.' }] });
  const diedAt = Date.now();
  await a.kill();
  const events = await untilConcluded(b, id);
  checkEnded(events, 3);
  const claims = only(events, 'TurnClaimed');
  assert.equal(
    claims.slice(0, 2).map(({ data }) => [data.worker, data.attempt]),
    [
      [a.worker, 1],
      [b.worker, 2],
    ],
  );
  const [lost] = only(events, 'TurnAttemptAbandoned');
  assert.is(lost?.data.reason, 'lease_lost');
  assert.equal(lost?.data.usage, { inputTokens: claims[0]?.data.reserved, outputTokens: 0, source: 'reserved' });
  const took = atMs(claims[1]) - diedAt;
  figures.push(`dead worker ${took} ms`);
  assert.ok(took >= 500 && took < 3_000, `taken over after ${took} ms`);
  assert.is(b.counted('turn_takeovers_total'), 1);
  await rerender(b, id);
});

test('a worker that renews its lease is left alone, however long it takes', async () => {
  const a = await start({ says: [{ waitMs: 2_500 }, { say: 'Slow and steady.' }] });
  const id = await talk(a, ['m'], { limits: { maxTurns: 1 } });
  await untilEvent(a, id, ({ type }) => type === 'TurnClaimed');
  const b = await start({ says: [{ say: 'Mine!' }] });
  const events = await untilConcluded(a, id);
  checkEnded(events, 1);
  assert.is(only(events, 'TurnClaimed').length, 1);
  assert.is(a.counted('turn_takeovers_total') + b.counted('turn_takeovers_total'), 0);
});

test('a zombie that wakes after its turn was taken over is refused, and nothing is doubled', async () => {
  const a = await start({ says: [{ say: 'From the dead.' }, { waitMs: 2_600, deaf: true }] });
  const id = await talk(a, 'm', { limits: { maxTurns: 1 } });
  await untilEvent(a, id, ({ type }) => type === 'TurnClaimed');
  a.faults.leasesAway = true;
  const b = await start({ says: [{ say: 'Alive.' }, { waitMs: 900 }] });
  await until(() => a.counted('turn_fenced_total') === 1);
  const events = await history(b, id);
  checkEnded(events, 1);
  const [first] = only(events, 'TurnCompleted');
  assert.equal([first?.data.attempt, first?.data.content], [2, [{ type: 'text', text: 'Alive.' }]]);
  assert.is(a.models.calls('m')[0]?.over, true);
  assert.is(only(events, 'TurnAttemptAbandoned').length, 1, 'the dead attempt is charged once');
});

test('a zombie that fails after its turn was taken over is refused too, and knows the discussion as the log has it', async () => {
  const a = await start({ says: [{ waitMs: 2_000, deaf: true }, { vanish: true }] });
  const id = await talk(a, 'm', { limits: { maxTurns: 1 } });
  await untilEvent(a, id, ({ type }) => type === 'TurnClaimed');
  a.faults.leasesAway = true;
  const b = await start({ says: [{ waitMs: 2_500 }, { say: 'Alive.' }] });
  await until(() => a.counted('turn_fenced_total') === 1);
  const stream = `discussion-${id}`;
  const { state, revision } = await load(a.engine, discussions, stream);
  assert.equal(state, (await stateAt(a.store, discussions, stream, revision)).state);
  const events = await untilConcluded(b, id);
  checkEnded(events, 1);
  assert.is(only(events, 'TurnAttemptAbandoned')[0]?.data.usage.source, 'reserved');
});

test('a worker that is started again ends what it held before, without waiting for the lease', async () => {
  const settings = { leaseMs: 600_000 };
  const a = await start({ worker: 'same', says: [{ stall: true }], settings });
  const id = await talk(a, 'm');
  await untilEvent(a, id, ({ type }) => type === 'TurnClaimed');
  await a.kill();
  const startedAt = Date.now();
  const again = await start({ worker: 'same', says: [{ say: 'Back.' }], settings });
  const events = await untilConcluded(again, id);
  checkEnded(events, 3);
  const [lost] = only(events, 'TurnAttemptAbandoned');
  assert.is(lost?.data.detail, 'its worker was started again');
  figures.push(`restarted worker ${atMs(only(events, 'TurnClaimed')[1]) - startedAt} ms from its start`);
});

test('a graceful stop hands a running attempt over with what it has, and another worker goes on', async () => {
  // Both have answered before, so that both have the discussion cached: what is cached must not hide the handed over turn.
  const says = [{ say: 'Said.' }];
  const a = await start({ says });
  const b = await start({ says });
  const id = await talk(a, 'm', { limits: { maxTurns: 9 } });
  a.models.script('m', ({ n }) => (n <= 2 ? says : [{ say: 'So far' }, { stall: true }]));
  b.models.script('m', ({ n }) => (n <= 2 ? says : [{ waitMs: 30 }, ...says]));
  await until(() => a.models.calls('m').some((call) => !call.over), 8_000);
  const stoppedAt = Date.now();
  await a.stop();
  const events = await untilConcluded(b, id);
  checkEnded(events, 9);
  const [released] = only(events, 'TurnAttemptAbandoned');
  assert.equal(
    [released?.data.reason, released?.data.partial, released?.data.detail],
    ['lease_lost', 'So far', 'its worker was stopped'],
  );
  assert.is(released?.data.usage.source, 'reported');
  const next = only(events, 'TurnClaimed').find(
    ({ data }) => data.turnId === released?.data.turnId && data.attempt === 2,
  );
  figures.push(`graceful stop ${atMs(next) - stoppedAt} ms, of which 300 ms drain`);
});

test('a deadline holds over a restart', async () => {
  const a = await start({ says: [{ stall: true }] });
  const id = await talk(a, 'm', { limits: { deadline: new Date(Date.now() + 900).toISOString() } });
  await untilEvent(a, id, ({ type }) => type === 'TurnClaimed');
  await a.kill();
  await new Promise((resolve) => setTimeout(resolve, 900));
  const b = await start({ says: [{ say: 'Too late.' }] });
  const events = await untilConcluded(b, id, 3_000);
  assert.is(only(events, 'DiscussionConcluded')[0]?.data.reason, 'deadline');
  await untilEvent(b, id, ({ type }) => type === 'TurnAttemptAbandoned', 5_000);
  assert.is(checkLog(await history(b, id)).outstanding.size, 0, 'the lost attempt of the ended turn is settled too');
});

test(
  'workers that keep dying end the turn after 20 attempts, not never',
  async () => {
    const settings = { leaseMs: 600_000, sweepMs: 50, drainMs: 1 };
    const a = await start({ worker: 'dying', says: [{ stall: true }], settings });
    const id = await talk(a, 'm');
    for (let attempt = 1; attempt <= 20; attempt += 1) {
      const on = engines.at(-1) ?? a;
      await untilEvent(on, id, (event) => event.type === 'TurnClaimed' && event.data.attempt === attempt);
      await on.kill();
      await start({ worker: 'dying', says: [{ stall: true }], settings });
    }
    const last = engines.at(-1) ?? a;
    const events = await untilEvent(last, id, ({ type }) => type === 'TurnFailed');
    assert.is(only(events, 'TurnFailed')[0]?.data.attempts, 20);
    checkLog(await history(last, id));
  },
  { deadlineMs: 40_000 },
);
test('a claim whose answer was lost with the log is run by the worker that made it, once the log is back', async () => {
  const on = await start({ says: [{ say: 'said once' }], settings: { leaseMs: 60_000 } });
  on.faults.claimUnanswered = true;
  const id = await talk(on, 'm', { limits: { maxTurns: 1 } });
  await until(() => on.faults.logAway);
  on.faults.logAway = false;
  checkEnded(await untilConcluded(on, id), 1);
  assert.equal(
    (await history(on, id)).slice(-4).map(({ type }) => type),
    ['TurnRequested', 'TurnClaimed', 'TurnCompleted', 'DiscussionConcluded'],
  );
});

test('a turn that was requested by a clock an hour ahead is run at once', async () => {
  const on = await start({ says: [{ say: 'on time' }] });
  const { engine } = on;
  const ahead = { ...engine.clock, now: () => engine.clock.now() + 3_600_000 };
  const id = await talk({ ...on, engine: { ...engine, clock: ahead } }, 'm', { limits: { maxTurns: 2 } });
  checkEnded(await untilConcluded(on, id), 2);
});

test.run();
