import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import type { RecordedEvent } from '../../domain/envelope.ts';
import { ensureVersions } from '../../projections/checkpoints.ts';
import { diffProjection } from '../../projections/diff.ts';
import type { Projection, Table } from '../../projections/projection.ts';
import { readModels } from '../../projections/readModels.ts';
import type { RebuildProgress } from '../../projections/rebuild/rebuild.ts';
import type { BuildTarget } from '../../projections/rebuild/target.ts';
import { suite } from '../harness.ts';
import { realLog } from '../infra/postgresStores.ts';
import { wallClock } from '../standins/wallClock.ts';
import { appendAll, history } from './events.ts';
import { assertEqualsFold, startRunner } from './readModelDatabase.ts';
import { filledLog, rebuildNow, sourceOf, statuses, wholeLog } from './rebuildForTests.ts';

const test = suite('rebuilds of what is not as it should be');
const discussions = readModels.find(({ name }) => name === 'discussions') as Projection;
const usage = readModels.find(({ name }) => name === 'usage') as Projection;

test(
  'a poison event fails the rebuild by name, unless the live version has it as a dead letter',
  async () => {
    const log = await filledLog(68, 200);
    const { knex } = log.database;
    const events = await wholeLog(log);
    const bad = events.filter(({ type }) => type === 'TurnRequested')[20];
    assert.ok(bad);
    const [table, ...others] = discussions.tables;
    assert.ok(table);
    const guarded: Table = {
      ...table,
      evolve(row, event, key, lookup) {
        if (event.id === bad.id) throw new Error('no sense in it');
        return table.evolve(row, event, key, lookup);
      },
    };
    const broken: Projection = { ...discussions, tables: [guarded, ...others] };
    const sound = await startRunner({ knex, store: log.store, projections: [discussions] });
    assert.ok(await sound.waitFor(await log.store.head(), ['discussions'], { timeoutMs: 20_000 }));
    await sound.stop();
    const refused = await rebuildNow(log, broken).then(
      () => null,
      (error: unknown) => error as { event?: RecordedEvent },
    );
    assert.is(refused?.event?.id, bad.id);
    assert.equal(await statuses(log, 'discussions'), { 1: 'live', 2: 'failed' });
    // A live version that cannot apply it either.
    await knex('projections').where({ name: 'discussions', version: 1 }).delete();
    await ensureVersions(knex, [broken]);
    const poisoned = await startRunner({ knex, store: log.store, projections: [broken] });
    assert.ok(await poisoned.waitFor(await log.store.head(), ['discussions'], { timeoutMs: 20_000 }));
    await poisoned.stop();
    const built = await rebuildNow(log, broken);
    const letters = await knex('dead_letters')
      .orderBy('version')
      .select('version', 'stream', 'event_id', 'later_events');
    assert.is(letters.length, 2);
    assert.equal({ ...letters[1], version: 0 }, { ...letters[0], version: 0 });
    assert.is((letters[1] as { version?: number } | undefined)?.version, built.version);
    // Once the program knows what to do with it, a rebuild mends it.
    await rebuildNow(log, discussions);
    await assertEqualsFold(knex, [discussions], events);
    await log.stop();
  },
  { deadlineMs: 90_000 },
);

test(
  'an event whose row PostgreSQL refuses is found in a large batch',
  async () => {
    const log = await filledLog(69, 100);
    const { knex } = log.database;
    const opened = (await wholeLog(log)).filter(({ type }) => type === 'DiscussionOpened')[5];
    await knex.raw(`update events set data = replace(data, '"title":"', '"title":"\\u0000') where id = ?`, [
      opened?.id ?? '',
    ]);
    const runner = await startRunner({ knex, store: log.store, projections: [usage] });
    const error = await rebuildNow(log, discussions).then(
      () => null,
      (each: unknown) => each as { event?: RecordedEvent },
    );
    assert.is(error?.event?.id, opened?.id);
    await runner.stop();
    await log.stop();
  },
  { deadlineMs: 90_000 },
);

test(
  'tables that are not what the log says never become live',
  async () => {
    const log = await filledLog(70, 100);
    const { knex } = log.database;
    const wrap = (target: BuildTarget): BuildTarget => ({
      ...target,
      async complete() {
        await target.complete();
        await knex.raw(
          `update discussions_v2 set title = title || '!' where id = (select min(id) from discussions_v2)`,
        );
      },
    });
    assert.match(await rebuildNow(log, discussions, { wrap }).then(() => '', String), /checksum/);
    assert.equal(await statuses(log, 'discussions'), { 1: 'live', 2: 'failed' });
    await log.stop();
  },
  { deadlineMs: 60_000 },
);

/** Whether the log was folded again for the verification. */
function foldsSeen() {
  let folds = 0;
  const report = ({ note }: RebuildProgress) => (folds += /^verifying, [1-9]/.test(note) ? 1 : 0);
  return { report, some: () => folds > 0 };
}

test(
  'a fast rebuild is compared with what it tallied; one that did not fold everything itself, with a second fold',
  async () => {
    const log = await filledLog(73, 200);
    const { knex } = log.database;
    for (const projection of readModels) {
      const folds = foldsSeen();
      await rebuildNow(log, projection, { report: folds.report });
      assert.not(folds.some(), projection.name);
    }
    const slow = foldsSeen();
    await rebuildNow(log, usage, { fast: false, report: slow.report });
    assert.ok(slow.some());
    // Its write fails once: what stands in the tables then may be more than was tallied.
    const failed = foldsSeen();
    let failures = 0;
    const failing = (target: BuildTarget): BuildTarget => ({
      ...target,
      async complete() {
        await target.complete();
        if ((failures += 1) === 1) await target.open();
      },
    });
    await rebuildNow(log, discussions, { wrap: failing, report: failed.report });
    assert.ok(failed.some());
    // Somebody skips an event meanwhile, which this log does not hold.
    const skipped = foldsSeen();
    const skipping = (target: BuildTarget): BuildTarget => ({
      ...target,
      async complete() {
        await target.complete();
        const ids = { id: randomUUID(), event_id: randomUUID(), projection: 'discussions', version: 1, position: 1 };
        const what = { stream: 'discussion-0', type: 'TurnClaimed', error: '', attempts: 1, first_at: new Date() };
        await knex('skipped_events').insert({ ...ids, ...what, reason: 'a test', skipped_by: 'the test' });
      },
    });
    await rebuildNow(log, discussions, { wrap: skipping, report: skipped.report });
    assert.ok(skipped.some());
    await assertEqualsFold(knex, readModels, await wholeLog(log));
    await log.stop();
  },
  { deadlineMs: 90_000 },
);

test(
  'a fast rebuild whose batches make other rows than the events do is found by its sample',
  async () => {
    const log = await filledLog(75, 300, realLog, 60);
    const [table, ...others] = discussions.tables;
    assert.ok(table);
    let times = new Map<string, number>();
    // The first time an event is applied it makes another row than the second time.
    const fickle: Table = {
      ...table,
      evolve(row, event, key, lookup) {
        const after = table.evolve(row, event, key, lookup);
        times = times.set(event.id, (times.get(event.id) ?? 0) + 1);
        return after === null || times.get(event.id) !== 1 ? after : { ...after, title: 'another' };
      },
    };
    const error = await rebuildNow(log, { ...discussions, tables: [fickle, ...others] }).then(() => '', String);
    assert.match(error, /row [0-9a-f-]+ is not what its events say/);
    assert.equal(await statuses(log, 'discussions'), { 1: 'live', 2: 'failed' });
    await log.stop();
  },
  { deadlineMs: 60_000 },
);

test(
  'diff finds a changed, a missing and a foreign row while events flow, and nothing else',
  async () => {
    const log = await filledLog(71);
    const { knex } = log.database;
    const runner = await startRunner({ knex, store: log.store, projections: readModels });
    assert.ok(await runner.waitFor(await log.store.head(), ['discussions'], { timeoutMs: 20_000 }));
    const over = new AbortController();
    const flowing = (async () => {
      for (const batch of history({ seed: 72, discussions: 20, batches: 2_000 })) {
        if (over.signal.aborted) return;
        await appendAll(log.store, [batch]);
        await wallClock.sleep(2);
      }
    })();
    const diff = () =>
      diffProjection({ knex, projection: discussions, source: sourceOf(log), onPage: async () => undefined });
    assert.ok((await diff()).equal);
    const ids = (await knex('discussions_v1').orderBy('id').limit(3).select<{ id: string }[]>('id')).map(
      ({ id }) => id,
    );
    const [changed = '', missing = ''] = ids;
    await knex('discussions_v1').where({ id: changed }).update({ title: 'forged', priority: 99 });
    await knex('discussions_v1').where({ id: missing }).delete();
    await knex.raw(`insert into discussions_v1 (id, project) values ('zz', 'default')`);
    const found = await diff();
    assert.not.ok(found.equal);
    const samples = [...(found.tables[0]?.samples ?? [])].sort((a, b) => (a.key < b.key ? -1 : 1));
    const expected = [
      { key: changed, kind: 'differs', columns: ['title', 'priority'] },
      { key: missing, kind: 'missing', columns: [] },
      { key: 'zz', kind: 'extra', columns: [] },
    ].sort((a, b) => (a.key < b.key ? -1 : 1));
    assert.equal(samples, expected);
    over.abort();
    await flowing;
    await runner.stop();
    await log.stop();
  },
  { deadlineMs: 60_000 },
);

test.run();
