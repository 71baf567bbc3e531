import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { ensureVersions } from '../../projections/checkpoints.ts';
import { embeddings } from '../../projections/embeddings.ts';
import { appendAll, history } from '../projections/events.ts';
import { suite } from '../harness.ts';
import { startServiceForTests, type Body, type TestService } from './serviceForTests.ts';
import { expected } from './serviceScenes.ts';

const test = suite('rebuilds over the API');
let on: TestService;

test.before(async () => {
  // No sweeper: some of these discussions are past their deadline.
  on = await startServiceForTests({ WORKER_ROLES: 'projector' });
  const { store, database } = on.service.running.storage;
  // Nobody embeds here; its tables are there as if somebody did.
  await ensureVersions(database.knex, [embeddings]);
  await appendAll(store, history({ seed: 80, discussions: 8, batches: 300 }));
  await seen(await store.head());
});
test.after(() => on.stop());

/** Waits until the lists show a position. */
async function seen(position: bigint): Promise<void> {
  const headers = { 'Consistency-Token': `p${position}`, Prefer: 'wait=20' };
  expected(await on.get('/discussions', { headers }), 200);
}

async function ended(id: string): Promise<Body> {
  for (;;) {
    const operation = expected(await on.get(`/operations/${id}`), 200);
    if (operation['status'] !== 'running') return operation;
    await delay(50);
  }
}

/** Starts one and waits for its end. */
async function done(path: string, body?: unknown): Promise<Body> {
  const operation = await ended(expected(await on.post(path, body), 202).id);
  assert.is(operation['status'], 'succeeded', JSON.stringify(operation));
  return operation;
}

const view = async (name: string) => expected(await on.get(`/projections/${name}`), 200);

test(
  'all read models are built beside the live ones in threads and swapped, with figures of what was verified',
  async () => {
    const { data } = expected(await on.get('/projections'), 200);
    const names = data.map((each) => String(each['name'])).filter((name) => name !== 'embeddings');
    assert.equal(names.sort(), ['agents', 'commands', 'discussions', 'messages', 'passages', 'turns', 'usage']);
    const { result, progress } = await done('/projections/rebuild', { names, fast: true, maxConcurrent: 3 });
    const { projections } = result as { projections: Record<string, { version: number; previous: number }> };
    assert.equal(Object.keys(projections).sort(), names);
    for (const name of names) {
      assert.equal({ ...projections[name], version: 2, previous: 1 }, projections[name], name);
      const { version, previous, building, stale } = await view(name);
      assert.equal({ version, building, stale }, { version: 2, building: null, stale: null });
      assert.is((previous as { version: number }).version, 1);
      assert.ok(((await done(`/projections/${name}/diff`)).result as { equal: boolean }).equal);
    }
    assert.is((progress as { done: number }).done, (progress as { total: number }).total);
  },
  { deadlineMs: 180_000 },
);

test(
  'no read fails and none is stale while versions are swapped and events are written',
  async () => {
    const over = new AbortController();
    const agent = expected(
      await on.post('/agents', { name: 'Ada', instructions: 'x', model: { provider: 'offline', name: 'offline' } }),
      201,
    );
    const path = `/agents/${agent.id}`;
    let [reads, writes] = [0, 0];
    const working = (async () => {
      while (!over.signal.aborted) {
        writes += 1;
        const changed = await on.call('PATCH', path, { body: { name: `Ada ${writes}` } });
        expected(changed, 200);
        const headers = { 'Consistency-Token': changed.headers.get('consistency-token') ?? '', Prefer: 'wait=20' };
        assert.is(expected(await on.get(path, { headers }), 200)['name'], `Ada ${writes}`);
      }
    })();
    const reading = (async () => {
      while (!over.signal.aborted) {
        assert.is(expected(await on.get('/agents?limit=100'), 200).data.length, 4);
        reads += 1;
      }
    })();
    for (let i = 0; i < 2; i += 1) await done('/projections/agents/rebuild', { fast: true });
    for (let i = 0; i < 2; i += 1) await done('/projections/agents/rollback');
    over.abort();
    await Promise.all([working, reading]);
    assert.ok(reads > 5 && writes > 5, `${reads} reads, ${writes} writes`);
  },
  { deadlineMs: 120_000 },
);

test('refuses what cannot be done, and says what would be done', async () => {
  assert.is((await on.post('/projections/nothing/rebuild', {})).status, 404);
  assert.is((await on.post('/projections/rebuild', { names: ['usage', 'nothing'] })).status, 404);
  assert.is((await on.post('/projections/rebuild', {})).status, 400);
  assert.is((await on.post('/projections/rebuild', { names: ['usage'], allStale: true })).status, 400);
  assert.equal(expected(await on.post('/projections/rebuild', { allStale: true }), 200)['plan'], []);
  const before = await view('usage');
  const plan = expected(await on.post('/projections/usage/rebuild', { dryRun: true }), 200)['plan'];
  assert.equal(
    (plan as { name: string; resumes: boolean }[]).map(({ name, resumes }) => ({ name, resumes })),
    [{ name: 'usage', resumes: false }],
  );
  assert.equal(await view('usage'), before);
  assert.is((await on.call('DELETE', '/projections/usage/versions/2')).status, 409);
  assert.is((await on.call('DELETE', '/projections/usage/versions/77')).status, 404);
});

test(
  'two at once: the second is refused; the first is cancelled, keeps what it has, and is gone on with or dropped',
  async () => {
    const first = expected(await on.post('/projections/turns/rebuild', {}), 202);
    assert.is((await on.post('/projections/turns/rebuild', {})).status, 409);
    assert.is((await on.post('/projections/turns/rollback')).status, 409);
    const { building } = await view('turns');
    const { version, running, operationId } = building as { version: number; running: boolean; operationId: string };
    assert.equal({ version, running, operationId }, { version: 3, running: true, operationId: first.id });
    expected(await on.call('DELETE', `/operations/${first.id}`), 202);
    assert.is((await ended(first.id))['status'], 'cancelled');
    const left = (await view('turns'))['building'] as { version: number; running: boolean };
    assert.equal({ ...left, version: 3, running: false }, left);
    assert.is((await view('turns'))['version'], 2);
    const again = (await done('/projections/turns/rebuild', { fast: true })).result;
    assert.is((again as { projections: Record<string, { version: number }> }).projections['turns']?.version, 3);
    expected(await on.call('DELETE', '/projections/turns/versions/2'), 200);
    assert.is((await view('turns'))['previous'], null);
    assert.is((await on.post('/projections/turns/rollback')).status, 409);
  },
  { deadlineMs: 90_000 },
);

test(
  'a paused read model stays where it is, over a restart too, while the others go on; resumed it catches up',
  async () => {
    const names = ['usage', 'turns'] as const;
    expected(await on.post('/projections/usage/pause'), 200);
    const { position: held } = await view('usage');
    const { store } = on.service.running.storage;
    await seen(await appendAll(store, history({ seed: 81, discussions: 3, batches: 40 })));
    await on.restart();
    while ((await on.get('//health/ready')).status !== 200) await delay(50);
    const position = await appendAll(
      on.service.running.storage.store,
      history({ seed: 82, discussions: 3, batches: 40 }),
    );
    await seen(position);
    const [usage, turns] = [await view(names[0]), await view(names[1])];
    assert.equal([usage['status'], usage['position']], ['paused', held]);
    assert.ok(Number(usage['behind']) > 40 && Number(usage['lagSeconds']) >= 0);
    assert.is(turns['status'], 'live');
    expected(await on.post('/projections/usage/resume'), 200);
    while (BigInt(String((await view('usage'))['position'])) < position) await delay(50);
    assert.ok(((await done('/projections/usage/diff')).result as { equal: boolean }).equal);
  },
  { deadlineMs: 90_000 },
);

test.run();
