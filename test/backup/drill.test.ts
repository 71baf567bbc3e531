/** The disaster drill: a real service writes, a backup is made, everything is lost, and what was acknowledged comes back. */
import { cp, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Verified } from '../../domain/backup/backups.ts';
import type { BackupSummary } from '../../domain/backup/manifest.ts';
import type { Restored } from '../../scripts/backupRestore.ts';
import { suite } from '../harness.ts';
import { killStarted, startProcess, type StartedProcess, type WireEvent } from '../scripts/startProcess.ts';
import { newPlace, type Place, runCommand, withStorage } from './storesForTests.ts';

const test = suite('the disaster drill');
const places: Place[] = [];
test.after(async () => {
  await killStarted();
  for (const place of places) await place.stop();
});

interface Talk {
  readonly id: string;
  readonly events: WireEvent[];
}

/** People, so that every event is one that was acknowledged to us. */
async function talk(on: StartedProcess, messages: number): Promise<Talk> {
  const opened = (await on.api('POST', '/discussions', {
    title: 'Drill',
    topic: 'What if all of this were gone?',
    participants: [{ userId: 'ada' }],
    policy: { kind: 'manual' },
  })) as { id: string };
  for (let i = 0; i < messages; i += 1)
    await on.api('POST', `/discussions/${opened.id}/messages`, { content: `Message ${i} with "quotes" and 🦜` });
  return { id: opened.id, events: await on.events(opened.id) };
}

for (const kind of ['embedded', 'postgres'] as const)
  test(
    kind === 'embedded' ? 'a data folder is lost' : 'a PostgreSQL database and the data folder are lost',
    async () => {
      const place = await newPlace(kind);
      const other = await newPlace(kind);
      places.push(place, other);
      const env = (on: Place): Record<string, string> => ({
        COLLOQUY_DATA: on.settings.COLLOQUY_DATA,
        DATABASE_URL: on.settings.DATABASE_URL ?? '',
        EVENTSTORE_URL: '',
        NATS_URL: '',
        OLLAMA_URL: 'http://127.0.0.1:9',
        BACKUP_STORE: join(place.folder, 'elsewhere', 'backups'),
        BACKUP_KEY_FILE: '',
        LOG_LEVEL: 'error',
      });
      const first = startProcess(place.settings.COLLOQUY_DATA, { env: env(place) });
      await first.url();
      const talks = [await talk(first, 5), await talk(first, 3)];
      const { id } = await runCommand<BackupSummary>(env(place), 'backup', 'create');
      const late = await talk(first, 1);
      await first.end('SIGKILL');

      // All that is left: the backups, and the copy of the key that somebody made.
      const key = join(place.folder, 'elsewhere', 'backup.key');
      await cp(join(place.settings.COLLOQUY_DATA, 'backup.key'), key);
      await rm(place.settings.COLLOQUY_DATA, { recursive: true });
      const after = { ...env(other), BACKUP_KEY_FILE: key };
      await mkdir(other.settings.COLLOQUY_DATA, { recursive: true });
      assert.equal(await readdir(other.settings.COLLOQUY_DATA), []);

      assert.is((await runCommand<BackupSummary>(after, 'backup', 'list')).id, id);
      assert.is((await runCommand<Verified>(after, 'backup', 'verify', id)).ok, true);
      const restored = await runCommand<Restored>(after, 'backup', 'restore', id);
      assert.equal([restored.positions, restored.foundThere], ['kept', 0]);

      const second = startProcess(other.settings.COLLOQUY_DATA, { env: after });
      await second.url();
      for (const { id: discussion, events } of talks) {
        assert.equal(await second.events(discussion), events, 'every event that was acknowledged before the backup');
        await second.api('POST', `/discussions/${discussion}/messages`, { content: 'It goes on.' });
        assert.is((await second.events(discussion)).length > events.length, true);
      }
      await second.api('GET', `/discussions/${late.id}`).then(
        () => assert.unreachable(),
        (error: unknown) => assert.match(String(error), '404', 'what came after the backup is lost, and only that'),
      );
      await second.end('SIGTERM');
      await withStorage(other, async ({ store }) => assert.is(await store.lineage(), restored.lineage));
    },
    { deadlineMs: 110_000 },
  );

test.run();
