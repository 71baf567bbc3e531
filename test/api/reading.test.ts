/** Reads: entity tags, own writes, pages, the log by revision and position, the document, rate limits. */
import pg from 'pg';
import * as assert from 'uvu/assert';
import { auditRoutes } from '../../api/routeAudit.ts';
import { suite } from '../harness.ts';
import { startServiceForTests, type Body, type TestService } from './serviceForTests.ts';
import { agentAt, expected, quietDiscussion, shown, talkingDiscussion } from './serviceScenes.ts';

const test = suite('reading');
let on: TestService;

test.before(async () => {
  on = await startServiceForTests();
});
test.after(async () => {
  await on.stop();
});

test('every write can be read back at once with its Consistency-Token', async () => {
  for (let i = 0; i < 20; i += 1) {
    const written = await on.post('/agents', {
      name: `Agent ${i}`,
      instructions: '',
      model: { provider: 'offline', name: 'offline' },
    });
    const headers = { 'Consistency-Token': written.headers.get('consistency-token') ?? '' };
    const agent = expected(await on.get(`/agents/${expected(written, 201).id}`, { headers }), 200);
    assert.is(agent['name'], `Agent ${i}`);
  }
});

test('a read model that is behind: 503 with Retry-After, and once it has caught up, the write', async () => {
  const { id } = await quietDiscussion(on);
  const blocker = new pg.Client({ connectionString: on.databaseUrl });
  await blocker.connect();
  try {
    await blocker.query('begin; lock table projections in share row exclusive mode');
    const written = await on.post(`/discussions/${id}/messages`, { content: 'Can you see me?' });
    const headers = { 'Consistency-Token': written.headers.get('consistency-token') ?? '' };
    const behind = await on.get(`/discussions/${id}/messages`, { headers: { ...headers, Prefer: 'wait=0' } });
    expected(behind, 503, 'projection-behind');
    assert.match(behind.headers.get('retry-after') ?? '', /^\d+$/);
    assert.is(behind.body['retryable'], true);
    const waiting = on.get(`/discussions/${id}/messages`, { headers: { ...headers, Prefer: 'wait=10' } });
    await blocker.query('commit');
    assert.equal(
      expected(await waiting, 200).data.map(({ text }) => text),
      ['Can you see me?'],
    );
  } finally {
    await blocker.end();
  }
});

test('a token of the future is not waited for longer than asked, one that is none is refused', async () => {
  const startedAt = performance.now();
  const headers = { 'Consistency-Token': 'p9223372036854775807', Prefer: 'wait=1' };
  expected(await on.get('/discussions', { headers }), 503, 'projection-behind');
  assert.ok(performance.now() - startedAt >= 990);
  for (const wrong of ['7', 'p', 'p-1', 'p99999999999999999999', 'q7'])
    expected(await on.get('/discussions', { headers: { 'Consistency-Token': wrong } }), 400, 'invalid');
});

test('entity tags: 304 until it changes', async () => {
  const { id } = await quietDiscussion(on);
  const agentId = await agentAt(on);
  const token = `p${await on.service.running.storage.store.head()}`;
  for (const path of [`/discussions/${id}`, `/discussions/${id}/participants`, `/agents/${agentId}`]) {
    const first = await on.get(path, { headers: { 'Consistency-Token': token } });
    const etag = first.headers.get('etag') ?? '';
    assert.match(etag, /^"r\d+"$/);
    for (const match of [etag, `W/${etag}`, `"r99", ${etag}`, '*']) {
      const again = await on.get(path, { headers: { 'If-None-Match': match } });
      assert.equal([again.status, again.headers.get('etag')], [304, etag]);
    }
    assert.is((await on.get(path, { headers: { 'If-None-Match': '"r99"' } })).status, 200);
  }
  const written = await on.post(`/discussions/${id}/messages`, { content: 'Hello.' });
  const headers = { 'If-None-Match': '"r3"', 'Consistency-Token': written.headers.get('consistency-token') ?? '' };
  const changed = await on.get(`/discussions/${id}`, { headers });
  assert.equal([changed.status, changed.headers.get('etag')], [200, written.headers.get('etag')]);
});

/** Waits until these show the log as it is now. */
async function caughtUp(...paths: string[]): Promise<void> {
  const headers = { 'Consistency-Token': `p${await on.service.running.storage.store.head()}`, Prefer: 'wait=10' };
  for (const path of paths) expected(await on.get(path, { headers }), 200);
}

/** Everything that a list holds, page by page. */
async function pages(path: string, limit: number): Promise<Record<string, unknown>[]> {
  const all: Record<string, unknown>[] = [];
  let next: string | null = `${path}${path.includes('?') ? '&' : '?'}limit=${limit}`;
  while (next !== null) {
    const reply = await on.get(next);
    const { data, nextCursor } = expected(reply, 200);
    assert.ok(data.length <= limit && (nextCursor === null || data.length === limit));
    all.push(...data);
    const link = reply.headers.get('link');
    assert.is(link === null, nextCursor === null);
    next = link === null ? null : link.replace(/^<\/api\/v1([^>]+)>; rel="next"$/, '$1');
  }
  return all;
}

test('pages have no gaps and no doubles, in both directions, whatever their size', async () => {
  const { id } = await quietDiscussion(on);
  for (let i = 0; i < 23; i += 1) expected(await on.post(`/discussions/${id}/messages`, { content: `${i}` }), 201);
  await caughtUp('/agents', '/discussions', `/discussions/${id}/messages`);
  const numbers = Array.from({ length: 23 }, (_, i) => `${i}`);
  const texts = async (path: string, limit: number) => (await pages(path, limit)).map(({ text }) => text);
  for (const limit of [1, 5, 22, 23, 200]) {
    assert.equal(await texts(`/discussions/${id}/messages`, limit), numbers);
    assert.equal(await texts(`/discussions/${id}/messages?backwards=true`, limit), numbers.toReversed());
  }
  for (const path of ['/discussions', '/agents', '/discussions?status=open', '/agents?retired=false']) {
    const whole = (await pages(path, 200)).map((each) => each['id']);
    const small = (await pages(path, 3)).map((each) => each['id']);
    assert.equal([small, new Set(small).size], [whole, whole.length]);
  }
});

test('a page is not moved by what comes while it is turned', async () => {
  await Promise.all([quietDiscussion(on), quietDiscussion(on), quietDiscussion(on)]);
  await caughtUp('/discussions');
  const seen = (await pages('/discussions', 200)).map((each) => each['id']);
  const first = expected(await on.get('/discussions?limit=2'), 200);
  await quietDiscussion(on);
  await caughtUp('/discussions');
  const rest: Body = expected(await on.get(`/discussions?limit=200&cursor=${first.nextCursor ?? ''}`), 200);
  assert.equal(
    [...first.data, ...rest.data].map((each) => each['id']),
    seen,
  );
});

test('numbers that no list holds are refused or empty, never an error of ours', async () => {
  const { id } = await quietDiscussion(on);
  const cursor = (text: string) => Buffer.from(text).toString('base64url');
  for (const list of ['/agents', '/discussions', `/discussions/${id}/messages`, `/discussions/${id}/turns`]) {
    for (const wrong of ['nonsense', cursor('-1'), cursor('1 or 1=1'), cursor('1'.repeat(25)), '%00'])
      expected(await on.get(`${list}?cursor=${wrong}`), 400, 'invalid');
    for (const far of ['2147483648', '9223372036854775807', '9223372036854775808', '9999999999999999999']) {
      const { status, body } = await on.get(`${list}?cursor=${cursor(far)}`);
      assert.ok(status === 200 || status === 400, `${list} ${far}: ${JSON.stringify(body)}`);
    }
    for (const limit of ['0', '201', '-1', '1e2', '0x10', ' 5', '', '5&limit=6'])
      expected(await on.get(`${list}?limit=${limit}`), 400, 'invalid');
  }
  for (const after of ['2147483648', '281474976710656'])
    assert.equal(expected(await on.get(`/discussions/${id}/events?after=${after}`), 200).data, []);
  for (const after of ['9223372036854775808', '9999999999999999999']) {
    const { status, body } = await on.get(`/events?after=${after}`);
    assert.ok(status === 200 || status === 400, `${after}: ${JSON.stringify(body)}`);
  }
  for (const version of ['0', '1000001', 'x'])
    expected(await on.get(`/agents/${id}?version=${version}`), 400, 'invalid');
});

test('the log pages by revision and by position, the same events', async () => {
  const { id } = await talkingDiscussion(on, 2);
  await shown(on, `/discussions/${id}`, (body) => body['status'] === 'concluded');
  const byRevision: Record<string, unknown>[] = [];
  for (;;) {
    const query = byRevision.length === 0 ? '' : `&after=${Number(byRevision.at(-1)?.['revision'])}`;
    const { data } = expected(await on.get(`/discussions/${id}/events?limit=3${query}`), 200);
    if (data.length === 0) break;
    byRevision.push(...data);
  }
  assert.equal(
    byRevision.map(({ revision }) => revision),
    [...byRevision.keys()],
  );
  const byPosition: Record<string, unknown>[] = [];
  for (let after = '0'; ; after = String(byPosition.at(-1)?.['position'])) {
    const { data } = expected(await on.get(`/events?limit=100&after=${after}`), 200);
    if (data.length === 0) break;
    byPosition.push(...data);
  }
  assert.equal(
    byPosition.filter(({ stream }) => stream === `discussion-${id}`),
    byRevision,
  );
  const positions = byPosition.map(({ position }) => BigInt(String(position)));
  assert.ok(positions.every((position, i) => i === 0 || position > (positions[i - 1] ?? 0n)));
});

test('an agent’s versions stay readable', async () => {
  const id = await agentAt(on);
  const written = await on.call('PATCH', `/agents/${id}`, { body: { name: 'Bea' } });
  const headers = { 'Consistency-Token': written.headers.get('consistency-token') ?? '' };
  const read = async (query: string) => expected(await on.get(`/agents/${id}${query}`, { headers }), 200);
  assert.equal([(await read(''))['name'], (await read('?version=1'))['name']], ['Bea', 'Ada']);
  expected(await on.get(`/agents/${id}?version=3`), 404, 'not-found');
});

test('what is served is what is documented, for the whole list of routes', async () => {
  const { api } = on.service;
  assert.equal(auditRoutes(api), []);
  assert.equal(JSON.parse(JSON.stringify(api.openapi)), await (await fetch(`${on.url}/openapi.json`)).json());
});

test.run();
