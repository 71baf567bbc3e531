/** Backups made while others write, looked at, damaged, and brought back: on both databases. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Backups } from '../../domain/backup/backups.ts';
import { backupFolder } from '../../domain/backup/manifest.ts';
import type { EventMetadata } from '../../domain/envelope.ts';
import { Refusal } from '../../domain/refusal.ts';
import { restoreUnderWay } from '../../infra/postgresRestore.ts';
import { readModels } from '../../projections/readModels.ts';
import { readManifest } from '../../scripts/backupShelf.ts';
import { backupObjects, openBackups } from '../../scripts/backups.ts';
import { seedLog } from '../../scripts/bench/seedLog.ts';
import type { Storage } from '../../scripts/storage.ts';
import { createPrometheus } from '../../infra/prometheus.ts';
import { suite } from '../harness.ts';
import { fillLog, newPlace, type Place, restore, silent, storedLog, withStorage } from './storesForTests.ts';

const never = new AbortController().signal;
const quiet = () => undefined;

async function withBackups<T>(place: Place, storage: Storage, work: (backups: Backups) => Promise<T>): Promise<T> {
  const opened = await openBackups(place.settings, storage, silent, createPrometheus().telemetry);
  assert.ok(opened.backups);
  return work(opened.backups).finally(() => opened.stop());
}

async function refusal(work: Promise<unknown>): Promise<Refusal> {
  const error: unknown = await work.catch((each: unknown) => each);
  assert.instance(error, Refusal);
  return error as Refusal;
}

for (const kind of ['postgres', 'embedded'] as const) {
  const test = suite(`backups of the log in ${kind === 'postgres' ? 'PostgreSQL' : 'the embedded database'}`);
  let place: Place;
  let store: string;
  let id: string;
  let canary: string;
  let before: Awaited<ReturnType<typeof storedLog>>;
  const places: Place[] = [];
  const another = async (where: 'postgres' | 'embedded' = kind) => {
    const made = await newPlace(where);
    places.push(made);
    return made;
  };
  test.before(async () => {
    const folder = (await another()).folder;
    store = join(folder, 'store');
    place = await newPlace(kind, { BACKUP_STORE: store });
    places.push(place);
    await withStorage(place, async (storage) => {
      canary = await fillLog(storage);
      await storage.database.knex('skipped_events').insert(aSkipped);
      before = await storedLog(storage);
      // Goes on while the backup is made.
      const writing = seedLog(storage.store, 40);
      id = (await withBackups(place, storage, (backups) => backups.create(quiet, never))).id;
      await writing;
    });
  });
  test.after(async () => {
    for (const each of places) await each.stop();
  });

  test('a backup holds every event that was there when it began, and nothing of it can be read', async () => {
    const objects = await backupObjects(place.settings);
    const manifest = await readManifest(objects, id);
    assert.ok(manifest.events >= before.length);
    assert.is(manifest.head, String(manifest.events));
    const folder = join(store, backupFolder(id));
    for (const name of await readdir(folder)) {
      const bytes = await readFile(join(folder, name));
      for (const secret of [canary, 'DiscussionOpened', 'AGE-SECRET-KEY'])
        assert.not.ok(bytes.includes(secret), `${secret} in ${name}`);
    }
    const key = await readFile(join(place.settings.COLLOQUY_DATA, 'backup.key'), 'utf8');
    assert.match(key, /\nAGE-SECRET-KEY-1/);
  });

  test(
    'comes back byte for byte, with positions, lineage, tables and read models',
    async () => {
      const into = await another();
      const { positions, events, lineage } = await restore(place, into, id);
      assert.is(positions, 'kept');
      const original = await withStorage(place, async (storage) => ({
        log: await storedLog(storage),
        lineage: await storage.store.lineage(),
      }));
      await withStorage(into, async (storage) => {
        const log = await storedLog(storage);
        assert.is(log.length, events);
        assert.equal(log, original.log.slice(0, events));
        assert.is(await storage.store.lineage(), original.lineage);
        assert.is(lineage, original.lineage);
        const skipped = await storage.database.knex('skipped_events').select('reason', 'skipped_by');
        assert.equal(skipped, [{ reason: aSkipped.reason, skipped_by: aSkipped.skipped_by }]);
        const checkpoints = await storage.database.knex('projections').select<{ position: string }[]>('position');
        assert.equal(
          checkpoints.map(({ position }) => position),
          readModels.map(() => String(events)),
        );
        // It goes on where it ended: the streams' revisions came back, too.
        const last = log.findLast(({ stream }) => stream.startsWith('agent-'));
        const next = { id: crypto.randomUUID(), type: 'AgentRetired', schemaVersion: 1, data: {} };
        const metadata = { ...(JSON.parse(last?.metadata ?? '{}') as EventMetadata), commandId: crypto.randomUUID() };
        const { position } = await storage.store.append(
          last?.stream ?? '',
          [{ ...next, metadata }],
          last?.revision ?? 0,
        );
        assert.is(position, BigInt(events) + 1n);
      });
    },
    { deadlineMs: 60_000 },
  );

  test(
    'a store that holds a log is refused, and a dry run changes nothing',
    async () => {
      const { code, message } = await refusal(restore(place, place, id));
      assert.is(code, 'conflict');
      assert.match(message, 'empty');
      const into = await another();
      assert.is((await restore(place, into, id, { dryRun: true })).dryRun, true);
      await withStorage(into, async ({ store: log }) => assert.is(await log.head(), 0n));
    },
    { deadlineMs: 60_000 },
  );

  test(
    'an interrupted restore says so, starts no service, goes on, and can begin anew',
    async () => {
      const into = await another();
      for (const restart of [false, true]) {
        const abort = new AbortController();
        // The first report comes once a batch was written.
        await restore(place, into, id, {
          signal: abort.signal,
          report: () => abort.abort(new Error('killed')),
          restart,
        }).then(
          () => assert.unreachable(),
          (error: unknown) => assert.match(String(error), 'killed'),
        );
        const { code, message } = await refusal(withStorage(into, () => Promise.resolve()));
        assert.is(code, 'conflict');
        assert.match(message, `restore incomplete: backup ${id}`);
        assert.match(message, `colloquy backup restore ${id}`);
      }
      const { foundThere, events } = await restore(place, into, id);
      assert.is(foundThere, events, 'the log itself was written already');
      await withStorage(into, async (storage) => {
        assert.is(await restoreUnderWay(storage.database.knex), null);
        assert.is((await storedLog(storage)).length, events);
      });
    },
    { deadlineMs: 90_000 },
  );

  test(
    'every damage is found: a byte, a part that is gone, another one in its place, a manifest',
    async () => {
      const folder = join(store, backupFolder(id));
      const verify = () =>
        withStorage(place, (storage) => withBackups(place, storage, (on) => on.verify(id, quiet, never)));
      assert.equal([(await verify()).ok, (await verify()).findings], [true, []]);
      for (const name of (await readdir(folder)).filter((each) => each.startsWith('log'))) {
        const whole = await readFile(join(folder, name));
        const changed = Buffer.from(whole);
        changed.writeUInt8(changed.readUInt8(whole.length >> 1) ^ 1, whole.length >> 1);
        for (const wrong of [changed, whole.subarray(0, whole.length - 1), Buffer.alloc(0)]) {
          await writeFile(join(folder, name), wrong);
          const { ok, findings } = await verify();
          assert.is(ok, false);
          assert.match(findings[0] ?? '', name);
          if (wrong !== changed) continue;
          const into = await another();
          assert.is((await refusal(restore(place, into, id))).code, 'conflict');
          assert.match((await refusal(withStorage(into, () => Promise.resolve()))).message, 'restore incomplete');
        }
        await writeFile(join(folder, name), whole);
      }
      const manifest = join(folder, 'manifest.json');
      const text = await readFile(manifest, 'utf8');
      await writeFile(manifest, text.replace(/"logSha256": "../, '"logSha256": "00'));
      assert.is((await verify()).ok, false);
      await writeFile(manifest, text);
      assert.is((await verify()).ok, true);
    },
    { deadlineMs: 120_000 },
  );

  test(
    'another key opens nothing, and of two at once one is made',
    async () => {
      const stranger = await newPlace(kind, { BACKUP_STORE: store });
      places.push(stranger);
      await withStorage(stranger, (storage) =>
        withBackups(stranger, storage, async (backups) => {
          const made = await Promise.allSettled([backups.create(quiet, never), backups.create(quiet, never)]);
          const ends = made
            .map((each) => (each.status === 'fulfilled' ? 'made' : (each.reason as Refusal).code))
            .sort();
          assert.equal(ends, ['conflict', 'made']);
          assert.is((await refusal(backups.verify(id, quiet, never))).code, 'forbidden');
          assert.is((await backups.list()).length, 2);
        }),
      );
    },
    { deadlineMs: 60_000 },
  );

  test.run();
}

const aSkipped = {
  id: '0195f1c5-26f0-7c5a-b49d-246f1a4c3f4a',
  projection: 'messages',
  event_id: '0195f1c5-26f0-7c5a-b49d-246f1a4c3f4b',
  version: 1,
  stream: 'discussion-x',
  position: '1',
  type: 'MessagePosted',
  error: 'poison',
  attempts: 3,
  first_at: '2025-01-31T12:00:00.000Z',
  reason: 'it was "bad" \\ and so',
  skipped_by: 'ada',
};
