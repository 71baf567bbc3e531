/** Rebuilds from a log in EventStoreDB, which the stand-in is here. */
import * as assert from 'uvu/assert';
import { openDatabase } from '../../infra/database.ts';
import { ensureVersions } from '../../projections/checkpoints.ts';
import type { Projection } from '../../projections/projection.ts';
import { readModels } from '../../projections/readModels.ts';
import { suite } from '../harness.ts';
import { standinLog } from '../infra/eventstoredbStores.ts';
import { appendAll, history } from './events.ts';
import { assertEqualsFold, readModelDatabase, startRunner } from './readModelDatabase.ts';
import { rebuildNow, statuses, wholeLog, type RebuiltLog } from './rebuildForTests.ts';

const test = suite('rebuild from EventStoreDB');
const messages = readModels.find(({ name }) => name === 'messages') as Projection;
const turns = readModels.find(({ name }) => name === 'turns') as Projection;
const discussions = readModels.find(({ name }) => name === 'discussions') as Projection;
const rebuilt = [messages, turns, discussions];

/** So that it can be stopped between two pages. */
const SMALL = { events: 100, chars: 1_000_000 };

interface Open extends RebuiltLog {
  readonly server: { cut(): void };
  stop(): Promise<void>;
}

/** A log on a stand-in with a history, and empty read models in PostgreSQL. */
async function filled(seed: number, batches: number): Promise<Open> {
  const log = await standinLog();
  await appendAll(log.store, history({ seed, discussions: 8, batches }));
  const readModelsAt = await readModelDatabase();
  const { url } = readModelsAt;
  const database = openDatabase({ connection: url, poolMax: 6, embedded: false, applicationName: 'rebuild test' });
  await ensureVersions(database.knex, readModels);
  return {
    ...{ store: log.store, database, elsewhere: true, server: log.server },
    async stop() {
      await database.close();
      await readModelsAt.stop();
      await log.stop();
    },
  };
}

test(
  'while events flow: built, verified, swapped; what the live version goes on with equals the fold',
  async () => {
    const log = await filled(81, 300);
    const { knex } = log.database;
    const runner = await startRunner({ knex, store: log.store, projections: rebuilt });
    const over = new AbortController();
    const flowing = (async () => {
      let position = 0n;
      for (const batch of history({ seed: 82, discussions: 20, batches: 1_500 })) {
        if (over.signal.aborted) break;
        position = await appendAll(log.store, [batch]);
      }
      return position;
    })();
    for (const projection of rebuilt) {
      const built = await rebuildNow(log, projection);
      assert.is(built.version, 2);
      assert.ok(built.verified.every(({ rows }) => rows > 0));
      assert.equal(await statuses(log, projection.name), { 1: 'previous', 2: 'live' });
    }
    over.abort();
    const names = rebuilt.map(({ name }) => name);
    assert.ok(await runner.waitFor(await flowing, names, { timeoutMs: 30_000 }));
    await runner.stop();
    assert.equal(runner.faults, []);
    await assertEqualsFold(knex, rebuilt, await wholeLog(log));
    await log.stop();
  },
  { deadlineMs: 120_000 },
);

test(
  'stopped on the way it goes on where it was, also over lost connections',
  async () => {
    const log = await filled(83, 600);
    const { knex } = log.database;
    const stopping = new AbortController();
    const report = ({ done }: { done: number }) => {
      if (done > 0) stopping.abort();
    };
    const stopped = await rebuildNow(log, turns, { signal: stopping.signal, report, batch: SMALL }).then(
      () => false,
      () => true,
    );
    assert.ok(stopped);
    assert.equal(await statuses(log, 'turns'), { 1: 'live', 2: 'building' });
    const left = await knex('projections').where({ name: 'turns', version: 2 }).first<{ position: string }>('position');
    assert.ok(BigInt(left.position) > 0n);
    let cuts = 0;
    const built = await rebuildNow(log, turns, {
      batch: SMALL,
      report({ note }) {
        if (note !== 'building' || cuts >= 3) return;
        cuts += 1;
        log.server.cut();
      },
    });
    assert.is(cuts, 3);
    assert.is(built.version, 2);
    const all = await wholeLog(log);
    const before = all.filter(({ position }) => position <= BigInt(left.position)).length;
    assert.ok(before > 0 && built.events <= all.length - before, 'what was built is not built again');
    const runner = await startRunner({ knex, store: log.store, projections: [turns] });
    assert.ok(await runner.waitFor(await log.store.head(), ['turns'], { timeoutMs: 20_000 }));
    await runner.stop();
    await assertEqualsFold(knex, [turns], all);
    await log.stop();
  },
  { deadlineMs: 120_000 },
);

test.run();
