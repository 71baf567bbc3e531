import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { EventStore } from '../../domain/ports.ts';
import { readModels } from '../../projections/readModels.ts';
import { suite } from '../harness.ts';
import { createMemoryEventStore } from '../standins/memoryEventStore.ts';
import { appendAll, history } from './events.ts';
import {
  applyAll,
  assertEqualsFold,
  readModelDatabase,
  startRunner,
  type ReadModelDatabase,
} from './readModelDatabase.ts';

const test = suite('runProjections');
const names = readModels.map((each) => each.name);
let database: ReadModelDatabase;
test.before(async () => void (database = await readModelDatabase()));
test.before.each(() => database.empty());
test.after(() => database.stop());

async function aLog(seed: number, batches = 300) {
  const store = createMemoryEventStore();
  const all = history({ seed, discussions: 8, batches });
  return { store, all };
}

for (const seed of [1, 2, 3])
  test(`I5: tables equal the fold of the log, seed ${seed}`, async () => {
    const { store, all } = await aLog(seed);
    await appendAll(store, all);
    const { faults } = await applyAll({ knex: database.knex, store, projections: readModels });
    assert.equal(faults, []);
    await assertEqualsFold(database.knex, readModels, store.events);
    const last = store.events.at(-1);
    const checkpoints = await database.knex('projections').select('position', 'event_id', 'status');
    assert.is(checkpoints.length, readModels.length);
    for (const each of checkpoints)
      assert.equal(each, { position: `${last?.position}`, event_id: last?.id, status: 'live' });
  });

test('one event at a time gives the same as in batches, and a reader waits for what was written', async () => {
  const { store, all } = await aLog(4, 60);
  const runner = await startRunner({ knex: database.knex, store, projections: readModels });
  for (const batch of all) {
    const position = await appendAll(store, [batch]);
    assert.ok(await runner.waitFor(position, names, { timeoutMs: 5_000 }));
    const behind = await database.knex('projections').where('position', '<', position.toString());
    assert.equal(behind, []);
  }
  await runner.stop();
  await assertEqualsFold(database.knex, readModels, store.events);
});

test('costs two statements for a command, one to look for it and one to write, and three now and then', async () => {
  const { store, all } = await aLog(12, 120);
  const runner = await startRunner({ knex: database.knex, store, projections: readModels });
  let statements: string[] = [];
  database.knex.on('query', ({ sql }: { sql: string }) => {
    if (!sql.includes('as "schemaVersion"')) statements.push(sql);
  });
  const counts: number[] = [];
  for (const batch of all) {
    statements = [];
    await appendAll(store, [batch]);
    assert.ok(await runner.waitFor(await store.head(), names, { timeoutMs: 5_000 }));
    counts.push(statements.length);
  }
  await runner.stop();
  assert.ok(Math.max(...counts) <= 3, `${Math.max(...counts)} statements`);
  assert.ok(counts.filter((count) => count <= 2).length > 0.8 * counts.length, counts.join(' '));
});

test('works on a log whose positions have gaps', async () => {
  const store = createMemoryEventStore({ gap: 1_000n });
  await appendAll(store, history({ seed: 5, discussions: 3, batches: 60 }));
  await applyAll({ knex: database.knex, store, projections: readModels });
  await assertEqualsFold(database.knex, readModels, store.events);
});

test('runners stopped and started again and again leave no gap and no double', async () => {
  const { store, all } = await aLog(6, 600);
  let stopped = false;
  const writing = (async () => {
    for (const batch of all) {
      await appendAll(store, [batch]);
      await delay(1);
    }
    stopped = true;
  })();
  for (let i = 0; !stopped; i += 1) {
    const runner = await startRunner({ knex: database.knex, store, projections: readModels });
    await delay(5 + (i % 7) * 9);
    await runner.stop();
    assert.equal(runner.faults, []);
  }
  await writing;
  await applyAll({ knex: database.knex, store, projections: readModels });
  await assertEqualsFold(database.knex, readModels, store.events);
});

test('several runners at once on one database apply every event once', async () => {
  const { store, all } = await aLog(7, 400);
  const options = { knex: database.knex, store, projections: readModels };
  const runners = await Promise.all([startRunner(options), startRunner(options), startRunner(options)]);
  for (const batch of all) {
    await appendAll(store, [batch]);
    await delay(1);
  }
  const head = await store.head();
  for (const runner of runners) assert.ok(await runner.waitFor(head, names, { timeoutMs: 5_000 }));
  await Promise.all(runners.map((runner) => runner.stop()));
  for (const { faults } of runners) assert.equal(faults, []);
  await assertEqualsFold(database.knex, readModels, store.events);
});

test('a runner that lags behind another never takes rows back', async () => {
  const { store, all } = await aLog(13, 200);
  const lagging: EventStore = {
    ...store,
    async *subscribe(after, options) {
      for await (const slice of store.subscribe(after, options)) {
        await delay(40);
        yield slice;
      }
    },
  };
  const options = { knex: database.knex, projections: readModels };
  const slow = await startRunner({ ...options, store: lagging });
  const quick = await startRunner({ ...options, store });
  for (const batch of all) {
    await appendAll(store, [batch]);
    await delay(1);
  }
  assert.ok(await quick.waitFor(await store.head(), names, { timeoutMs: 8_000 }));
  // Stopped at once: what the slow one had still to write would hide what it took back.
  await Promise.all([slow.stop(), quick.stop()]);
  await assertEqualsFold(database.knex, readModels, store.events);
});

test('a new read model catches up on its own while the others go on', async () => {
  const { store, all } = await aLog(8, 400);
  const [first, ...others] = readModels;
  if (first === undefined) throw new Error('no read models');
  await appendAll(store, all.slice(0, 200));
  await applyAll({ knex: database.knex, store, projections: others });
  const runner = await startRunner({ knex: database.knex, store, projections: readModels });
  await appendAll(store, all.slice(200));
  assert.ok(await runner.waitFor(await store.head(), names, { timeoutMs: 5_000 }));
  await runner.stop();
  assert.equal(runner.faults, []);
  await assertEqualsFold(database.knex, readModels, store.events);
});

test('a checkpoint that is set back under a running runner is caught up again', async () => {
  const { store, all } = await aLog(9, 300);
  await appendAll(store, all.slice(0, 150));
  const runner = await startRunner({ knex: database.knex, store, projections: readModels });
  assert.ok(await runner.waitFor(await store.head(), names, { timeoutMs: 5_000 }));
  await database.knex.raw('truncate usage_v1, usage_turns_v1');
  await database.knex('projections').where({ name: 'usage' }).update({ position: 0, event_id: null });
  await appendAll(store, all.slice(150));
  const head = await store.head();
  while ((await database.knex('projections').whereNot('position', head.toString())).length > 0) await delay(10);
  await runner.stop();
  await assertEqualsFold(database.knex, readModels, store.events);
});

test('a dropped table is made and filled again at the next start', async () => {
  const { store, all } = await aLog(10, 100);
  await appendAll(store, all);
  await applyAll({ knex: database.knex, store, projections: readModels });
  await database.knex.raw('drop table turns_claims_v1 cascade');
  await applyAll({ knex: database.knex, store, projections: readModels });
  await assertEqualsFold(database.knex, readModels, store.events);
});

test('goes on after its connections were cut', async () => {
  const { store, all } = await aLog(11, 300);
  const runner = await startRunner({ knex: database.knex, store, projections: readModels });
  for (const [i, batch] of all.entries()) {
    await appendAll(store, [batch]);
    if (i % 60 === 30)
      await database.knex.raw(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      );
    if (i % 10 === 0) await delay(2);
  }
  assert.ok(await runner.waitFor(await store.head(), names, { timeoutMs: 8_000 }));
  await runner.stop();
  await assertEqualsFold(database.knex, readModels, store.events);
});

test.run();
