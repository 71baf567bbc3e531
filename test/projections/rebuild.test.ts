import * as assert from 'uvu/assert';
import type { RecordedEvent } from '../../domain/envelope.ts';
import { foldRows } from '../../projections/fold.ts';
import type { Projection } from '../../projections/projection.ts';
import { readModels } from '../../projections/readModels.ts';
import { storeSource } from '../../projections/rebuild/source.ts';
import { foldAll } from '../../projections/rebuild/fold.ts';
import { claimBuild, forgetVersion, releaseClaim } from '../../projections/rebuild/version.ts';
import { suite } from '../harness.ts';
import { embeddedLog, realLog } from '../infra/postgresStores.ts';
import { createMemoryEventStore } from '../standins/memoryEventStore.ts';
import { wallClock } from '../standins/wallClock.ts';
import { appendAll, history } from './events.ts';
import { assertEqualsFold, startRunner } from './readModelDatabase.ts';
import { filledLog, rebuildNow, statuses, wholeLog } from './rebuildForTests.ts';

const test = suite('rebuild');
const discussions = readModels.find(({ name }) => name === 'discussions') as Projection;
const usage = readModels.find(({ name }) => name === 'usage') as Projection;

async function memoryLog(seed: number): Promise<readonly RecordedEvent[]> {
  const store = createMemoryEventStore();
  await appendAll(store, history({ seed, discussions: 12, batches: 600 }));
  return store.events;
}

function sorted(rows: ReadonlyMap<string, ReadonlyMap<string, unknown>>) {
  return [...rows].map(([table, each]) => [table, [...each].sort(([a], [b]) => (a < b ? -1 : 1))]);
}

for (const projection of readModels)
  test(`${projection.name}: what it declares of its events and streams is true`, async () => {
    const events = await memoryLog(90);
    const whole = sorted(foldRows(projection, events));
    const handled = new Set<string>(projection.handles ?? events.map(({ type }) => type));
    assert.equal(
      sorted(
        foldRows(
          projection,
          events.filter(({ type }) => handled.has(type)),
        ),
      ),
      whole,
    );
    if (projection.streamLocal !== true) return;
    const streams = groupByStream(events);
    const parts = new Map(projection.tables.map(({ name }) => [name, new Map<string, unknown>()]));
    for (const own of streams.values())
      for (const [table, rows] of foldRows(projection, own))
        for (const [key, row] of rows) {
          assert.not.ok(parts.get(table)?.has(key), `${table} ${key} is touched by two streams`);
          parts.get(table)?.set(key, row);
        }
    assert.equal(sorted(parts), whole);
  });

function groupByStream(events: readonly RecordedEvent[]): Map<string, RecordedEvent[]> {
  const streams = new Map<string, RecordedEvent[]>();
  for (const event of events) streams.set(event.stream, [...(streams.get(event.stream) ?? []), event]);
  return streams;
}

test('a fold in parts gives every row once', async () => {
  const store = createMemoryEventStore();
  await appendAll(store, history({ seed: 91, discussions: 12, batches: 300 }));
  for (const projection of readModels) {
    const found = new Map(projection.tables.map(({ name }) => [name, new Map<string, unknown>()]));
    await foldAll(
      {
        ...{ projection, source: storeSource(store), to: await store.head() },
        // Says that there are so many that five parts are made.
        ...{ events: 1_500_000, skipped: new Set<string>(), letters: new Map<string, string>() },
        onPage: async () => undefined,
      },
      (table, row) => {
        const key = String(row[table.key]);
        assert.not.ok(found.get(table.name)?.has(key));
        found.get(table.name)?.set(key, row);
      },
    );
    assert.equal(sorted(found), sorted(foldRows(projection, store.events)));
  }
});

for (const [where, open] of [
  ['PostgreSQL', realLog],
  ['the embedded database', embeddedLog],
] as const)
  for (const throughPort of [false, true])
    test(
      `on ${where}${throughPort ? ', through the port' : ''}: every read model equals the fold after its swap, and the runner goes on`,
      async () => {
        const log = await filledLog(60, 300, open);
        try {
          const runner = await startRunner({ knex: log.database.knex, store: log.store, projections: readModels });
          for (const projection of readModels) {
            const built = await rebuildNow(log, projection, { throughPort });
            assert.is(built.version, 2);
            assert.equal(await statuses(log, projection.name), { 1: 'previous', 2: 'live' });
          }
          const more = history({ seed: 61, discussions: 3, batches: 60 });
          const position = await appendAll(log.store, more);
          const names = readModels.map(({ name }) => name);
          assert.ok(await runner.waitFor(position, names, { timeoutMs: 30_000 }));
          await runner.stop();
          assert.equal(runner.faults, []);
          await assertEqualsFold(log.database.knex, readModels, await wholeLog(log));
        } finally {
          await log.stop();
        }
      },
      { deadlineMs: 120_000 },
    );

test(
  'while events flow nobody reads less than before, and what was read by a token is there after the swap',
  async () => {
    const log = await filledLog(62);
    const { knex } = log.database;
    const runner = await startRunner({ knex, store: log.store, projections: readModels });
    const over = new AbortController();
    const writing = (async () => {
      for (const batch of history({ seed: 63, discussions: 40, batches: 4_000 })) {
        if (over.signal.aborted) return;
        const position = await appendAll(log.store, [batch]);
        assert.ok(await runner.waitFor(position, ['discussions'], { timeoutMs: 20_000 }));
        const { rows } = await knex.raw<{ rows: { at: string }[] }>(
          `select max(position)::text as at from discussions_s${discussions.schemaVersion}`,
        );
        if (batch.stream.startsWith('discussion-')) assert.ok(BigInt(rows[0]?.at ?? 0) >= position, 'a stale read');
      }
    })();
    const reading = (async () => {
      for (let before = 0; !over.signal.aborted;) {
        const { rows } = await knex.raw<{ rows: { count: string }[] }>(
          `select count(*)::text as count from discussions_s${discussions.schemaVersion}`,
        );
        const now = Number(rows[0]?.count);
        assert.ok(now >= before, `${now} rows after ${before}`);
        before = now;
      }
    })();
    for (let version = 2; version <= 5; version += 1) assert.is((await rebuildNow(log, discussions)).version, version);
    over.abort();
    await Promise.all([writing, reading]);
    await runner.stop();
    assert.equal(runner.faults, []);
    await assertEqualsFold(knex, [discussions], await wholeLog(log));
    assert.equal(await statuses(log, 'discussions'), { 4: 'previous', 5: 'live' });
    await log.stop();
  },
  { deadlineMs: 120_000 },
);

test(
  'going back shows what was written since, and going back twice is forward again',
  async () => {
    const log = await filledLog(64);
    const { knex } = log.database;
    const runner = await startRunner({ knex, store: log.store, projections: readModels });
    await rebuildNow(log, discussions);
    for (const [i, expected] of [
      { 1: 'live', 2: 'previous' },
      { 1: 'previous', 2: 'live' },
    ].entries()) {
      const position = await appendAll(log.store, history({ seed: 65 + i, discussions: 3, batches: 40 }));
      assert.ok(await runner.waitFor(position, ['discussions'], { timeoutMs: 20_000 }));
      await rebuildNow(log, discussions, { kind: 'rollback' });
      assert.equal(await statuses(log, 'discussions'), expected);
      await assertEqualsFold(knex, [discussions], await wholeLog(log));
    }
    await runner.stop();
    await log.stop();
  },
  { deadlineMs: 60_000 },
);

test(
  'one at a time: a second rebuild is refused; a cancelled one is gone on with, or dropped',
  async () => {
    const log = await filledLog(66);
    const { knex } = log.database;
    const runner = await startRunner({ knex, store: log.store, projections: readModels });
    const first = await claimBuild(knex, discussions, { builder: '00000000-0000-4000-8000-000000000001', fast: true });
    const again = claimBuild(knex, discussions, { builder: '00000000-0000-4000-8000-000000000002', fast: true });
    assert.match(await again.then(() => '', String), /already/);
    assert.match(await forgetVersion(knex, discussions, 2).then(() => '', String), /being built/);
    await releaseClaim(knex, first, false);
    const stopping = new AbortController();
    const report = ({ done }: { done: number }) => {
      if (done > 0) stopping.abort();
    };
    const stopped = rebuildNow(log, discussions, { signal: stopping.signal, fast: false, report });
    await stopped.then(
      () => assert.unreachable(),
      () => undefined,
    );
    assert.equal(await statuses(log, 'discussions'), { 1: 'live', 2: 'building' });
    const row = await knex('projections')
      .where({ name: 'discussions', version: 2 })
      .first<{ position: string }>('position');
    assert.ok(BigInt(row.position) > 0n, 'keeps what was built');
    assert.is((await rebuildNow(log, discussions)).version, 2, 'goes on with it');
    assert.match(await forgetVersion(knex, discussions, 2).then(() => '', String), /is the one that is read/);
    await forgetVersion(knex, discussions, 1);
    assert.equal(await statuses(log, 'discussions'), { 2: 'live' });
    assert.equal(
      (await knex.raw<{ rows: { t: string | null }[] }>(`select to_regclass('discussions_v1') as t`)).rows[0]?.t,
      null,
    );
    await runner.stop();
    await assertEqualsFold(knex, [discussions], await wholeLog(log));
    await log.stop();
  },
  { deadlineMs: 60_000 },
);

test(
  'leaves others their time: sleeps 24 times as long as it has worked, unless fast',
  async () => {
    const log = await filledLog(67, 500);
    let [sleptMs, nowMs] = [0, 0];
    // Each look at the clock is ten milliseconds later: so every part has worked.
    const clock = {
      ...wallClock,
      monotonic: () => (nowMs += 10),
      sleep: async (ms: number) => void (sleptMs += ms),
    };
    await rebuildNow(log, usage, { fast: false, clock });
    assert.ok(sleptMs >= 720, `${sleptMs} ms`);
    assert.is(sleptMs % 240, 0);
    sleptMs = 0;
    await rebuildNow(log, usage, { fast: true, clock });
    assert.is(sleptMs, 0);
    await log.stop();
  },
  { deadlineMs: 60_000 },
);

test.run();
