import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { crewOf, NEVER_MS } from './crew.ts';
import type { TestEngine, TestEngineOptions } from './engineForTests.ts';
import { checkEnded } from './logChecks.ts';
import { anAgent, history, only, open, talk, until, untilConcluded } from './talks.ts';

const test = suite('workers: picking turns');
const crew = crewOf(test);

/** An engine that never sweeps unless told, so that whatever it runs it found without. */
function start({ settings, ...options }: TestEngineOptions = {}): Promise<TestEngine> {
  const more = { sweepMs: NEVER_MS, leaseMs: NEVER_MS, drainMs: 1, ...settings };
  return crew.start({ ...options, settings: more });
}

/** Discussions of one turn each. */
async function many(on: TestEngine, count: number, agentId: string, more: Record<string, unknown>): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count)
    ids.push(
      ...(await Promise.all(
        Array.from({ length: Math.min(50, count - ids.length) }, () =>
          open(on, { participants: [{ agentId }], limits: { maxTurns: 1 }, ...more }),
        ),
      )),
    );
  return ids;
}

test(
  "a thousand waiting turns of one project take neither more than the places nor another project's turn",
  async () => {
    const on = await start({ settings: { concurrency: 4 } });
    const busy = await anAgent(on, 'Ada', { name: 'm' }, 'busy');
    const quiet = await anAgent(on, 'Basil', { name: 'm' }, 'quiet');
    await many(on, 1000, busy, { projectId: 'busy' });
    await until(() => crew.models.waiting('m') === 4);
    assert.is(crew.models.calls('m').length, 0);
    assert.ok(crew.bus.unacknowledged() <= 1, 'what cannot run waits on the bus, for others');
    const [id = ''] = await many(on, 1, quiet, { projectId: 'quiet' });
    await on.settled();
    crew.models.open('m', 1);
    const claims = async () => only(await history(on, id), 'TurnClaimed').length;
    await until(async () => (await claims()) === 1);
    assert.is(crew.models.calls('m').length, 1, 'it was the next one');
    assert.is(crew.models.most('m'), 4, 'no more at once than there are places');
  },
  { deadlineMs: 60_000 },
);

test('of those that wait the one of the highest priority is next, then the oldest', async () => {
  const on = await start({ settings: { concurrency: 1 } });
  const agentId = await anAgent(on, 'Ada', { name: 'm' });
  const order: string[] = [];
  for (const priority of [5, 1, 5, 9]) order.push(...(await many(on, 1, agentId, { priority })));
  await until(() => crew.models.waiting('m') === 1);
  await on.settled();
  crew.models.open('m');
  const ends = await Promise.all(order.map(async (id) => (await untilConcluded(on, id)).at(-1)?.position ?? 0n));
  const byEnd = order.map((_, i) => i).sort((x, y) => Number((ends[x] ?? 0n) - (ends[y] ?? 0n)));
  assert.equal(byEnd, [0, 3, 2, 1]);
});

test('a full pool goes on with what waits, though no wake-up comes and nobody sweeps', async () => {
  const on = await start({ settings: { concurrency: 2 } });
  const agentId = await anAgent(on, 'Ada', { name: 'm' });
  const running = await many(on, 2, agentId, {});
  await until(() => crew.models.waiting('m') === 2);
  crew.bus.lose = () => true;
  const ids = await many(on, 10, agentId, {});
  await on.settled();
  crew.models.open('m');
  for (const id of [...running, ...ids]) checkEnded(await untilConcluded(on, id), 1);
});

test('a wake-up for a turn that is gone leads to one that waits', async () => {
  const on = await start();
  crew.models.open('m');
  const first = await talk(on, 'm', { limits: { maxTurns: 1 } });
  await untilConcluded(on, first);
  crew.bus.lose = () => true;
  const second = await talk(on, 'm', { limits: { maxTurns: 1 } });
  await on.settled();
  const [stale] = crew.bus.woken;
  assert.ok(stale);
  crew.bus.lose = () => false;
  await crew.bus.of().wake(stale);
  checkEnded(await untilConcluded(on, second), 1);
});

test('without any wake-up a worker with room finds what waits at its own sweeps, and counts it', async () => {
  crew.bus.lose = () => true;
  const on = await start({ settings: { sweepMs: 250 } });
  crew.models.open('m');
  const agentId = await anAgent(on, 'Ada', { name: 'm' });
  for (const id of await many(on, 3, agentId, {})) checkEnded(await untilConcluded(on, id), 1);
  assert.is(on.counted('sweeper_recovered_total'), 3);
});

test('wake-ups doubled over two workers: each turn runs once, and the loser ends nothing of the winner', async () => {
  const [a] = [await start(), await start()];
  const agentId = await anAgent(a, 'Ada', { name: 'm' });
  crew.models.script('m', () => [{ say: 'Begun' }, { waitMs: 500 }, { say: ' and done.' }]);
  crew.models.open('m');
  const [id = ''] = await many(a, 1, agentId, {});
  await until(() => crew.models.calls('m').length === 1);
  const [given] = crew.bus.woken;
  assert.ok(given);
  for (let i = 0; i < 10; i += 1) await crew.bus.of().wake(given);
  await until(() => crew.bus.unacknowledged() === 0);
  const replay = crew.bus
    .of()
    .deltas({ project: '*' }, { signal: AbortSignal.timeout(2_000) })
    [Symbol.asyncIterator]();
  const first = await replay.next();
  assert.is(first.done === true ? null : first.value.text, 'Begun', 'what readers see is still there');
  checkEnded(await untilConcluded(a, id), 1);
  assert.is(crew.models.calls('m').length, 1);
});

test('a worker whose places are taken leaves wake-ups to others, and a wake-up is kept until its claim', async () => {
  const full = await start({ settings: { concurrency: 1 } });
  const agentId = await anAgent(full, 'Ada', { name: 'm' });
  await many(full, 1, agentId, {});
  await until(() => crew.models.waiting('m') === 1);
  const [waiting = ''] = await many(full, 1, agentId, {});
  await full.settled();
  const other = await start();
  await until(() => crew.models.waiting('m') === 2);
  const claims = only(await history(other, waiting), 'TurnClaimed');
  assert.equal(
    claims.map(({ data }) => data.worker),
    [other.worker],
  );
});

test('a worker that cannot claim does not acknowledge, and the turn runs when the log is back', async () => {
  const on = await start({ settings: { sweepMs: 250, leaseMs: 2_000 } });
  crew.models.open('m');
  const agentId = await anAgent(on, 'Ada', { name: 'm' });
  crew.bus.lose = (wakeUp) => wakeUp.revision > 0;
  const [id = ''] = await many(on, 1, agentId, {});
  on.faults.logAway = true;
  const { turnId } = only(await history(on, id), 'TurnRequested')[0]?.data ?? { turnId: '' };
  await crew.bus.of().wake({ kind: 'turn', project: 'default', discussionId: id, turnId, revision: 0 });
  await until(() => on.logged.some((line) => line.startsWith('a turn could not be run')), 9_000);
  assert.is(crew.bus.unacknowledged(), 1);
  on.faults.logAway = false;
  checkEnded(await untilConcluded(on, id), 1);
});
test.run();
