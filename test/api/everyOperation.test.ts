/** Every operation: who may, a good request, and what no operation takes. */
import * as assert from 'uvu/assert';
import type { Actor } from '../../domain/ports.ts';
import { suite } from '../harness.ts';
import { type OllamaStandin, startOllamaStandin } from '../standins/ollama.ts';
import { elsewhere, everyOperation } from './everyOperation.ts';
import type { Request } from './operationScenes.ts';
import {
  documentedOperations,
  logHead,
  startServiceForTests,
  type Reply,
  type TestService,
} from './serviceForTests.ts';
import { agentAt, expected, quietDiscussion } from './serviceScenes.ts';

const test = suite('every operation');
let on: TestService;
let ollama: OllamaStandin;
let viewer: string;
let stranger: string;

const viewerOf = (project: string): Actor => ({
  kind: 'user',
  id: `viewer-of-${project}`,
  grants: [{ project, role: 'viewer' }],
});

test.before(async () => {
  ollama = await startOllamaStandin();
  on = await startServiceForTests({ OLLAMA_URL: ollama.url });
  viewer = await on.mint(viewerOf('default'));
  stranger = await on.mint(viewerOf('elsewhere'));
});
test.after(async () => {
  await on.stop();
  await ollama.stop();
});

/** A stream's answer begins and goes on: its status is enough. */
async function ask({ method, path, body }: Request, token?: string | null): Promise<Reply> {
  if (!path.startsWith('/stream') || method !== 'GET')
    return on.call(method, path, { body, ...(token === undefined ? {} : { token }) });
  const over = new AbortController();
  const headers = token === null ? {} : { Authorization: `Bearer ${token ?? on.service.token}` };
  const answer = await fetch(`${on.url}/api/v1${path}`, { headers, signal: over.signal });
  const refused = answer.status >= 400 ? ((await answer.json()) as Reply['body']) : null;
  over.abort();
  return { status: answer.status, headers: answer.headers, body: refused ?? ({} as Reply['body']) };
}

test('every documented operation has a row here, and every row is an operation', async () => {
  const documented = await documentedOperations(on.url);
  assert.equal(documented.map(({ operationId }) => operationId).sort(), Object.keys(everyOperation).sort());
});

for (const [operationId, { prepare, answers }] of Object.entries(everyOperation))
  test(`${operationId}: no token, viewer of its project, viewer of another, administrator`, async () => {
    const request = await prepare(on);
    const before = await logHead(on);
    const unauthenticated = await ask(request, null);
    if (answers[0] === 401) assert.match(unauthenticated.headers.get('www-authenticate') ?? '', /^Bearer/);
    const foreign = await ask(request, stranger);
    const reading = await ask(request, viewer);
    assert.is(await logHead(on), before, 'nothing was written for them');
    const allowed = await ask(request);
    const seen = [unauthenticated, reading, foreign, allowed].map(({ status }) => status);
    assert.equal(seen, answers, JSON.stringify(allowed.body));
    if (answers[2] === 404) assert.is(foreign.body.code, 'not-found');
  });

test('lists show a viewer what is in their project only', async () => {
  await agentAt(on, { projectId: 'elsewhere' });
  await quietDiscussion(on, { projectId: 'elsewhere' });
  const token = `p${await logHead(on)}`;
  for (const path of ['/agents', '/discussions'])
    for (const [who, project] of [
      [viewer, 'default'],
      [stranger, 'elsewhere'],
    ] as const) {
      const { data } = expected(await on.get(path, { token: who, headers: { 'Consistency-Token': token } }), 200);
      assert.equal([...new Set(data.map(({ projectId }) => projectId))], [project]);
      const other = project === 'default' ? 'elsewhere' : 'default';
      expected(await on.get(`${path}?projectId=${other}`, { token: who }), 404);
    }
});

test('a role that means nothing lists nothing', async () => {
  const token = await on.mint({ kind: 'user', id: 'eve', grants: [{ project: 'default', role: 'friend' }] });
  for (const path of ['/agents', '/discussions']) assert.equal(expected(await on.get(path, { token }), 200).data, []);
  const worker = await on.mint({ kind: 'user', id: 'eve', grants: [{ project: '*', role: 'worker' }] });
  for (const path of ['/agents', '/discussions'])
    assert.equal(expected(await on.get(path, { token: worker }), 200).data, [], 'only a worker is a worker');
});

test(
  'unknown ids, ids that are none, unknown query keys and fields, other media types: refused everywhere',
  async () => {
    for (const [operationId, { prepare, answers }] of Object.entries(everyOperation)) {
      if (answers[0] !== 401) continue;
      const request = await prepare(on);
      const before = await logHead(on);
      const nowhere = elsewhere(request);
      if (nowhere !== null) {
        expected(await ask(nowhere), 404, 'not-found');
        const malformed = { ...nowhere, path: nowhere.path.replace(/[0-9a-f-]{36}/, 'not-a-uuid') };
        expected(await ask(malformed), 400, 'invalid');
      }
      const path = `${request.path}${request.path.includes('?') ? '&' : '?'}unheard=1`;
      const { errors } = expected(await on.call(request.method, path, request), 400, 'invalid');
      assert.equal([errors[0]?.pointer, errors[0]?.code], ['query/unheard', 'unrecognized-key'], operationId);
      if (request.method === 'POST' || request.method === 'PATCH') await refuseBodies(request);
      else expected(await on.call('PUT', request.path, {}), 405);
      assert.is(await logHead(on), before, `${operationId} wrote nothing`);
    }
  },
  { deadlineMs: 60_000 },
);

async function refuseBodies({ method, path, body }: Request): Promise<void> {
  const more = { ...(body as object | undefined), projectRole: 'administrator' };
  const { errors } = expected(await on.call(method, path, { body: more }), 400, 'invalid');
  assert.ok(
    errors.some(({ code }) => code === 'unrecognized-key'),
    JSON.stringify(errors),
  );
  for (const wrong of ['[]', '"text"', '7', 'null', '{"a":', 'x'])
    expected(await on.call(method, path, { body: wrong }), 400, 'invalid');
  const headers = { 'Content-Type': 'text/plain' };
  expected(await on.call(method, path, { body: 'hello', headers }), 415, 'unsupported-media-type');
  expected(await on.call(method, path, { body: JSON.stringify({ title: 'x'.repeat(300_000) }) }), 413, 'too-large');
}

test.run();
