import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { StoredRecord } from '../../domain/codec.ts';
import { Refusal } from '../../domain/refusal.ts';
import { createPrometheus } from '../../infra/prometheus.ts';
import { openBackups } from '../../scripts/backups.ts';
import { suite } from '../harness.ts';
import { type EventStoreStandin, startEventStoreStandin } from '../standins/eventstoredb.ts';
import { fillLog, newPlace, type Place, restore, silent, storedLog, withStorage } from './storesForTests.ts';

const test = suite('backups and EventStoreDB, stand-in');
const never = new AbortController().signal;
const quiet = () => undefined;
const places: Place[] = [];
const servers: EventStoreStandin[] = [];
test.after(async () => {
  for (const place of places) await place.stop();
  for (const server of servers) await server.stop();
});

async function place(more: Readonly<Record<string, string>>): Promise<Place> {
  const made = await newPlace('postgres', more);
  places.push(made);
  return made;
}

async function withServer(more: Readonly<Record<string, string>>): Promise<Place> {
  const server = await startEventStoreStandin();
  servers.push(server);
  return place({ ...more, EVENTSTORE_URL: server.url });
}

async function backUp(on: Place): Promise<{ id: string; log: StoredRecord[]; lineage: string }> {
  return withStorage(on, async (storage) => {
    await fillLog(storage, 3);
    const opened = await openBackups(on.settings, storage, silent, createPrometheus().telemetry);
    assert.ok(opened.backups);
    const { id } = await opened.backups.create(quiet, never).finally(() => opened.stop());
    return { id, log: await storedLog(storage), lineage: await storage.store.lineage() };
  });
}

const withoutPositions = (log: readonly StoredRecord[]) => log.map(({ position: _position, ...rest }) => rest);

test(
  'a backup of PostgreSQL goes into an EventStoreDB, also after an interruption, and from there into a PostgreSQL',
  async () => {
    const shelf = await newPlace('embedded');
    places.push(shelf);
    const BACKUP_STORE = join(shelf.folder, 'backups');
    const first = await place({ BACKUP_STORE });
    const { id, log, lineage } = await backUp(first);

    const into = await withServer({ BACKUP_STORE });
    const abort = new AbortController();
    const broken = restore(first, into, id, {
      signal: abort.signal,
      report: () => abort.abort(new Error('killed')),
    });
    assert.match(String(await broken.catch((error: unknown) => error)), 'killed');
    const refused: unknown = await withStorage(into, () => Promise.resolve()).catch((error: unknown) => error);
    assert.instance(refused, Refusal);
    assert.match(String(refused), 'restore incomplete');
    assert.is((await restore(first, into, id)).positions, 'new');
    await withStorage(into, async (storage) => {
      assert.equal(withoutPositions(await storedLog(storage)), withoutPositions(log));
      assert.is(await storage.store.lineage(), lineage);
    });

    const second = await backUp(into);
    const back = await place({});
    assert.is((await restore(into, back, second.id)).positions, 'new');
    await withStorage(back, async (storage) => {
      const restored = await storedLog(storage);
      assert.equal(withoutPositions(restored), withoutPositions(second.log));
      assert.equal(
        restored.map(({ position }) => position),
        restored.map((_, i) => BigInt(i + 1)),
      );
      assert.is(await storage.store.lineage(), lineage);
    });
  },
  { deadlineMs: 90_000 },
);

test(
  'an EventStoreDB that has held a log of its own is refused',
  async () => {
    const shelf = await newPlace('embedded');
    places.push(shelf);
    const first = await place({ BACKUP_STORE: join(shelf.folder, 'backups') });
    const { id } = await backUp(first);
    const into = await withServer({});
    await withStorage(into, (storage) => storage.store.lineage());
    assert.match(String(await restore(first, into, id).catch((error: unknown) => error)), 'another log already');
  },
  { deadlineMs: 60_000 },
);

test.run();
