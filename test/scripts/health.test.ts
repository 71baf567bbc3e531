/** Ready while the log and the read models' database answer; what only degrades is told beside them. */
import * as assert from 'uvu/assert';
import { openDatabase } from '../../infra/database.ts';
import { healthOf } from '../../scripts/health.ts';
import { suite } from '../harness.ts';
import { postgresForTests, type TestDatabase } from '../services.ts';
import { createMemoryEventStore } from '../standins/memoryEventStore.ts';

const test = suite('health');
let server: TestDatabase;
test.before(async () => void (server = await postgresForTests()));
test.after(() => server.stop());

async function healthWith(connection: string, head: () => Promise<bigint>, connected = true, caughtUp = true) {
  const database = openDatabase({ connection, embedded: false, poolMax: 1, applicationName: 'health test' });
  const storage = {
    database,
    store: { ...createMemoryEventStore(), head },
    embedded: null,
    where: '',
    close: () => Promise.resolve(),
  };
  const stopping = { now: false };
  const health = healthOf({ storage, upToDate: () => caughtUp }, stopping, { bus: () => connected });
  const ready = await health.ready();
  stopping.now = true;
  const last = await health.ready();
  assert.equal([last.ready, last.checks['service']?.ok, health.live()], [false, false, false]);
  await database.close();
  const okOf = Object.fromEntries(Object.entries(ready.checks).map(([name, { ok }]) => [name, ok]));
  return { ready: ready.ready, okOf, text: JSON.stringify(ready) };
}
const here = () => Promise.resolve(3n);

test('all there', async () => {
  const { ready, okOf } = await healthWith(server.url, here);
  assert.equal([ready, okOf], [true, { log: true, readModels: true, service: true, bus: true }]);
});

test('without the bus it is ready and says so', async () => {
  const { ready, okOf } = await healthWith(server.url, here, false);
  assert.equal([ready, okOf['bus']], [true, false]);
});

test('while the read models are still being built it is not ready', async () => {
  const { ready, okOf } = await healthWith(server.url, here, true, false);
  assert.equal([ready, okOf['log'], okOf['readModels']], [false, true, false]);
});

test('without the log, or with one that hangs, it is not ready', async () => {
  for (const head of [() => Promise.reject(new Error('away')), () => new Promise<bigint>(() => undefined)]) {
    const { ready, okOf } = await healthWith(server.url, head);
    assert.equal([ready, okOf['log'], okOf['readModels']], [false, false, true]);
  }
});

test('without the database of the read models it is not ready, and tells no address', async () => {
  const { ready, okOf, text } = await healthWith('postgres://me:secret@127.0.0.1:9/x', here);
  assert.equal([ready, okOf['log'], okOf['readModels']], [false, true, false]);
  assert.not.match(text, /secret|127\.0/);
});

test.run();
