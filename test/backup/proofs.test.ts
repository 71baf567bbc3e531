/** What holds after a disaster and how one is told: signed checkpoints in backups, the lineage guard, the schedule. */
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { Refusal } from '../../domain/refusal.ts';
import type { Telemetry } from '../../domain/telemetry.ts';
import { createPrometheus } from '../../infra/prometheus.ts';
import { openAudit, startAuditor } from '../../scripts/audit.ts';
import { openBackups } from '../../scripts/backups.ts';
import { startService } from '../../scripts/service.ts';
import type { Storage } from '../../scripts/storage.ts';
import { suite } from '../harness.ts';
import { fillLog, newPlace, type Place, runCommand, silent, withStorage } from './storesForTests.ts';

const test = suite('backups and proofs');
const never = new AbortController().signal;
const quiet = () => undefined;
const places: Place[] = [];
test.after(async () => {
  for (const place of places) await place.stop();
});

async function place(more: Readonly<Record<string, string>> = {}): Promise<Place> {
  const elsewhere = await newPlace('embedded');
  const made = await newPlace('postgres', { BACKUP_STORE: join(elsewhere.folder, 'backups'), ...more });
  places.push(elsewhere, made);
  return made;
}

async function backUpAndVerify(on: Place, storage: Storage) {
  const opened = await openBackups(on.settings, storage, silent, createPrometheus().telemetry);
  assert.ok(opened.backups);
  try {
    const { id } = await opened.backups.create(quiet, never);
    return await opened.backups.verify(id, quiet, never);
  } finally {
    await opened.stop();
  }
}

test(
  'a backup is held against the signed checkpoints in it: one of a log that was tampered with does not verify',
  async () => {
    const on = await place();
    await withStorage(on, async (storage) => {
      await fillLog(storage);
      assert.is((await backUpAndVerify(on, storage)).checkpoints, null, 'no auditor has been there yet');
      const auditor = startAuditor(await openAudit(on.settings), storage.store, {
        log: silent,
        telemetry: createPrometheus().telemetry,
      });
      await auditor.stop();
      const { ok, checkpoints, findings } = await backUpAndVerify(on, storage);
      assert.equal([ok, findings], [true, []]);
      assert.is(checkpoints?.coveredTo, String(await storage.store.head()));
      await storage.database.knex.raw(`update events set data = replace(data, 'A', 'B') where position = 3`);
      const tampered = await backUpAndVerify(on, storage);
      assert.is(tampered.ok, false);
      assert.match(tampered.findings[0] ?? '', /^checkpoints: /);
    });
  },
  { deadlineMs: 60_000 },
);

test(
  'read models that know more than the log: the start refuses and names the command that helps',
  async () => {
    const on = await place();
    const start = () => startService(on.settings, silent, { nextFreePort: false });
    await withStorage(on, async (storage) => void (await fillLog(storage)));
    const first = await start();
    const { storage, upToDate } = first.running;
    while (!upToDate()) await new Promise((resolve) => setTimeout(resolve, 20));
    const lost = await storage.store.head();
    await storage.database.knex.raw(
      'delete from streams where stream in (select stream from events where position = ?)',
      [String(lost)],
    );
    await first.stop();
    await withStorage(on, async ({ database: { knex } }) => {
      await knex('events')
        .where({ position: String(lost) })
        .delete();
      await knex('log_head').update({ position: String(lost - 1n) });
    });
    const refused: unknown = await start().catch((error: unknown) => error);
    assert.instance(refused, Refusal);
    assert.match(String(refused), 'colloquy projections reset');
    const env = { DATABASE_URL: on.settings.DATABASE_URL ?? '', COLLOQUY_DATA: on.settings.COLLOQUY_DATA };
    const { dropped } = await runCommand<{ dropped: string[] }>(env, 'projections', 'reset');
    assert.ok(dropped.includes('agents_v1'), dropped.join());
    const second = await start();
    assert.ok(
      await second.running.reads.waitFor(lost - 1n, ['agents', 'discussions'], { timeoutMs: 20_000, signal: never }),
    );
    await second.stop();
  },
  { deadlineMs: 60_000 },
);

test(
  'of two processes with a schedule one makes the backup, and a restart does not make another',
  async () => {
    const on = await place({ BACKUP_EVERY: '1h', BACKUP_KEEP: '1' });
    await withStorage(on, async (storage) => {
      await fillLog(storage, 2);
      const ages: number[] = [];
      let told: () => void = () => undefined;
      const telemetry: Telemetry = {
        count: quiet,
        observe: quiet,
        set(name, value) {
          if (name !== 'backup_age_seconds') return;
          ages.push(value);
          told();
        },
      };
      const once = () => new Promise<void>((resolve) => (told = resolve));
      const made = once();
      const both = [
        await openBackups(on.settings, storage, silent, telemetry),
        await openBackups(on.settings, storage, silent, telemetry),
      ];
      await made;
      for (const each of both) await each.stop();
      const list = () => both[0]?.backups?.list();
      assert.is((await list())?.length, 1);
      const looked = once();
      const again = await openBackups(on.settings, storage, silent, telemetry);
      await looked;
      await again.stop();
      assert.is((await list())?.length, 1);
      assert.ok(ages.every((age) => age >= 0 && age < 600));
    });
  },
  { deadlineMs: 60_000 },
);

test('a schedule without a place is refused', async () => {
  const on = await newPlace('postgres', { BACKUP_EVERY: '1h' });
  places.push(on);
  await withStorage(on, async (storage) => {
    const refused: unknown = await openBackups(on.settings, storage, silent, createPrometheus().telemetry).catch(
      (error: unknown) => error,
    );
    assert.match(String(refused), 'BACKUP_STORE');
  });
});

test.run();
