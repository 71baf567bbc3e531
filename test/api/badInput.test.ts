import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { problemIn, startApi, type TestApi } from './apiForTests.ts';
import { THING } from './sampleRoutes.ts';

const test = suite('api bad input');
let api: TestApi;

test.before(async () => {
  api = await startApi();
});
test.after(async () => {
  await api.drain();
});

const pointers = (problem: { errors: { pointer: string }[] }): string[] => problem.errors.map(({ pointer }) => pointer);

test('depth, width, prototype keys, NUL and lone surrogates are 400 and named', async () => {
  const nested = (depth: number) => `{"name":"x","format":${'['.repeat(depth)}${']'.repeat(depth)}}`;
  assert.is((await api.post('/api/v1/things', nested(31))).status, 201);
  const cases: Record<string, string> = {
    [nested(32)]: 'too-deep',
    [nested(100_000)]: 'too-deep',
    [`{"name":"x","format":[${'0,'.repeat(1_000)}0]}`]: 'too-many',
    [`{"name":"x","format":{${Array.from({ length: 1_001 }, (_, i) => `"k${i}":0`).join()}}}`]: 'too-many',
    '{"name":"x","__proto__":{"role":"administrator"}}': 'forbidden-key',
    '{"name":"x","format":{"a":[{"constructor":{"prototype":{}}}]}}': 'forbidden-key',
    '{"name":"x","format":{"prototype":1}}': 'forbidden-key',
    '{"name":"a\\u0000b"}': 'not-text',
    '{"name":"\\ud800"}': 'not-text',
    '{"name":"x","format":{"\\udc00":1}}': 'not-text',
  };
  for (const [body, code] of Object.entries(cases)) {
    const problem = await problemIn(await api.post('/api/v1/things', body), 400, 'invalid');
    assert.is(problem.errors[0]?.code, code, body.slice(0, 80));
  }
});

test('unknown fields are refused one by one, also where they would give power', async () => {
  const extra = {
    role: 'administrator',
    projectId: 'beta',
    ownerId: 'eve',
    revision: 9,
    createdAt: 'now',
    isAdmin: true,
  };
  const problem = await problemIn(await api.post('/api/v1/things', { name: 'x', ...extra }), 400, 'invalid');
  assert.equal(
    pointers(problem),
    Object.keys(extra).map((key) => `/${key}`),
  );
  assert.is(problem.errors[0]?.code, 'unrecognized-key');
});

test('every wrong field is pointed at, through unions too', async () => {
  const body = {
    name: 7,
    content: [{ type: 'text', text: 5, more: 1 }],
    profile: { name: 'a/b~c', instructions: 'i' },
  };
  const problem = await problemIn(await api.post('/api/v1/things', body), 400, 'invalid');
  assert.equal(pointers(problem).sort(), ['/content/0/more', '/content/0/text', '/name', '/profile/model']);
  await problemIn(await api.post(`/api/v1/things/${THING}/rename`, { unknown: 1 }), 400, 'invalid');
});

test('bad query keys, repeated ones, values and parameters are 400', async () => {
  const cases: Record<string, string> = {
    '?limit=0': 'query/limit',
    '?limit=201': 'query/limit',
    '?limit=0x10': 'query/limit',
    '?limit=': 'query/limit',
    '?limit=%201': 'query/limit',
    '?limit=1&limit=2': 'query/limit',
    '?lmit=1': 'query/lmit',
    '?__proto__=1': 'query',
    '?constructor[x]=1': 'query/constructor[x]',
    '?cursor=%00': 'query/cursor',
    '?access_token=abc': 'query/access_token',
    '?ticket=abc': 'query/ticket',
    '?a/b~c=1': 'query/a~1b~0c',
  };
  for (const [query, pointer] of Object.entries(cases))
    assert.equal(pointers(await problemIn(await api.get(`/api/v1/things${query}`), 400, 'invalid')), [pointer], query);
  assert.is((await api.get('/api/v1/things?limit=200')).status, 200);
  assert.equal(pointers(await problemIn(await api.get('/api/v1/things/not-a-uuid'), 400, 'invalid')), ['path/id']);
  await problemIn(await api.get('/api/v1/things/%00'), 400, 'invalid');
  await problemIn(await api.get('/api/v1/things/%ff'), 400, 'invalid');
  await problemIn(await api.get('/api/v1/things/%'), 400, 'invalid');
});

test('bad Idempotency-Key, If-Match and Consistency-Token are 400', async () => {
  for (const key of ['', 'two words', 'x'.repeat(201), 'ümlaut'])
    await problemIn(await api.post('/api/v1/things', { name: 'x' }, { 'Idempotency-Key': key }), 400, 'invalid');
  for (const tag of ['*', 'r3', '"3"', 'W/"r3"', '"r3", "r4"', '"r-1"', '"r03"', '"r9999999999999999"'])
    await problemIn(await api.post(`/api/v1/things/${THING}/rename`, {}, { 'If-Match': tag }), 400, 'invalid');
  await problemIn(await api.post('/api/v1/things', { name: 'x' }, { 'If-Match': '"r3"' }), 400, 'invalid');
  await problemIn(await api.get('/api/v1/things', { headers: { 'Consistency-Token': 'a b' } }), 400, 'invalid');
});

test('a body where none belongs is 400', async () => {
  await problemIn(
    await api.get(`/api/v1/things/${THING}/rename`, {
      method: 'POST',
      body: '[]',
      headers: { 'Content-Type': 'application/json' },
    }),
    400,
    'invalid',
  );
  assert.is((await api.get(`/api/v1/things/${THING}/rename`, { method: 'POST' })).status, 200);
});

test.run();
