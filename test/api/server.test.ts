import { connect } from 'node:net';
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { problemIn, startApi, type TestApi, tokenFor } from './apiForTests.ts';
import { THING } from './sampleRoutes.ts';

const test = suite('api server');
const CONSOLE = 'https://console.example.org';
let api: TestApi;

test.before(async () => {
  api = await startApi({ corsOrigins: [CONSOLE], limits: { deadlineMs: 300 } });
});
test.after(async () => {
  await api.drain();
});

test('every answer carries the security headers, errors and health too', async () => {
  for (const path of ['/api/v1/things', '/api/v1/nothing', '/health/live', '/openapi.json', '/metrics']) {
    const answer = await fetch(api.url + path);
    // An answer nobody reads would hold the drain up at the end.
    await answer.arrayBuffer();
    const { headers } = answer;
    const csp = headers.get('content-security-policy');
    assert.is(csp, "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none'", path);
    assert.is(headers.get('x-content-type-options'), 'nosniff');
    assert.is(headers.get('x-frame-options'), 'DENY');
    assert.is(headers.get('referrer-policy'), 'no-referrer');
    assert.match(headers.get('strict-transport-security') ?? '', /max-age=31536000/);
    assert.is(headers.get('x-powered-by'), null);
    assert.match(headers.get('cache-control') ?? '', /no-store|no-cache/);
    assert.match(headers.get('request-id') ?? '', /^[0-9a-f]{8}-/);
  }
});

test('CORS answers exactly the origins allowed', async () => {
  const preflight = async (origin: string): Promise<Response> =>
    await fetch(`${api.url}/api/v1/things`, {
      method: 'OPTIONS',
      headers: { Origin: origin, 'Access-Control-Request-Method': 'POST' },
    });
  const allowed = await preflight(CONSOLE);
  assert.is(allowed.status, 204);
  assert.is(allowed.headers.get('access-control-allow-origin'), CONSOLE);
  assert.match(allowed.headers.get('access-control-allow-headers') ?? '', /Idempotency-Key/);
  for (const origin of [
    'https://evil.example',
    'null',
    `${CONSOLE}.evil.example`,
    'http://console.example.org',
    `${CONSOLE}:8443`,
  ])
    assert.is((await preflight(origin)).headers.get('access-control-allow-origin'), null, origin);
  const answer = await api.get('/api/v1/things', { headers: { Origin: CONSOLE } });
  assert.is(answer.headers.get('access-control-allow-origin'), CONSOLE);
  assert.match(answer.headers.get('access-control-expose-headers') ?? '', /ETag/);
  assert.is(answer.headers.get('access-control-allow-credentials'), null);
  assert.match((await api.get('/api/v1/things')).headers.get('vary') ?? '', /Origin/);
});

test('an allow-list that is none is refused at start', async () => {
  for (const origin of ['*', 'null', 'https://a.example/', 'a.example', ''])
    await startApi({ corsOrigins: [origin] }).then(
      () => assert.unreachable(origin),
      (error: Error) => assert.match(error.message, /not an origin/),
    );
});

test('an ETag comes back as 304 without a body', async () => {
  const path = `/api/v1/things/${THING}`;
  const first = await api.get(path);
  assert.is(first.headers.get('etag'), '"r7"');
  assert.is(first.headers.get('cache-control'), 'private, no-cache');
  for (const tag of ['"r7"', 'W/"r7"', '"r6", "r7"', '*']) {
    const again = await api.get(path, { headers: { 'If-None-Match': tag } });
    assert.is(again.status, 304, tag);
    assert.is(again.headers.get('etag'), '"r7"');
    assert.is(await again.text(), '');
  }
  assert.is((await api.get(path, { headers: { 'If-None-Match': '"r6"' } })).status, 200);
});

test('a write answers with Location, ETag and Consistency-Token, and sees its headers', async () => {
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const answer = await api.post(
    '/api/v1/things',
    { name: 'x' },
    { 'Idempotency-Key': 'key-1', 'Request-Id': 'client-id-1', traceparent },
  );
  assert.is(answer.status, 201);
  assert.is(answer.headers.get('etag'), '"r0"');
  assert.is(answer.headers.get('consistency-token'), '42');
  assert.is(answer.headers.get('location'), `/api/v1/things/${THING}`);
  assert.is(answer.headers.get('request-id'), 'client-id-1');
  assert.equal(await answer.json(), {
    id: THING,
    name: 'x',
    key: 'key-1',
    correlationId: 'client-id-1',
    requestId: 'client-id-1',
    traceparent,
  });
});

test('ids that would do harm in a log are replaced, bad traceparents ignored', async () => {
  for (const id of ['x', 'a b c d e f g', 'x'.repeat(101), '<script>alert', '../../../etc/x']) {
    const answer = await api.post('/api/v1/things', { name: 'x' }, { 'Request-Id': id, traceparent: '00-0-0-01' });
    assert.match(answer.headers.get('request-id') ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    assert.is(((await answer.json()) as { traceparent: unknown }).traceparent, null);
  }
});

test('the log has one line a request with its ids, and no token, query or header', async () => {
  const token = tokenFor({ sub: 'grace' });
  const answer = await fetch(`${api.url}/api/v1/things?limit=3`, {
    headers: {
      Authorization: `Bearer ${token}`,
      'Request-Id': 'log-line-1',
      'Correlation-Id': 'correlation-1',
      Cookie: 'a=secretcookie',
    },
  });
  await answer.text();
  await until(() => api.log.some((one) => one['requestId'] === 'log-line-1'));
  const lines = api.log.filter((one) => one['requestId'] === 'log-line-1');
  assert.is(lines.length, 1);
  const { correlationId, principal, method, path, route, status } = lines[0] ?? {};
  assert.equal(
    [correlationId, principal, method, path, route, status],
    ['correlation-1', 'user:grace', 'GET', '/api/v1/things', '/api/v1/things', 200],
  );
  const text = JSON.stringify(api.log);
  for (const secret of [token, token.split('.')[2] ?? '', 'secretcookie', 'limit=3'])
    assert.not.ok(text.includes(secret));
});

test('metrics need a token and count by template', async () => {
  await problemIn(await fetch(`${api.url}/metrics`), 401, 'unauthenticated');
  await problemIn(
    await fetch(`${api.url}/metrics`, { headers: { Authorization: `Bearer ${tokenFor({ grants: [] })}` } }),
    404,
    'not-found',
  );
  await (await api.get(`/api/v1/things/${THING}`)).text();
  const text = await (await api.get('/metrics')).text();
  assert.match(
    text,
    /http_request_duration_seconds_count\{method="GET",route="\/api\/v1\/things\/\{id\}",status="200"\} \d+/,
  );
  assert.match(text, /route="unmatched",status="404"/);
  assert.match(text, /auth_failures_total [1-9]/);
  assert.not.ok(text.includes(THING));
});

test('readiness tells what is missing', async () => {
  assert.equal(await (await fetch(`${api.url}/health/ready`)).json(), { ready: true, checks: { log: { ok: true } } });
  const checks = { log: { ok: false, detail: 'no answer for 3 s' }, vectors: { ok: true } };
  const unready = await startApi({ health: { live: () => true, ready: async () => ({ ready: false, checks }) } });
  const problem = await problemIn(await fetch(`${unready.url}/health/ready`), 503, 'unavailable');
  assert.equal(problem.errors, [{ pointer: 'log', code: 'not-ready', detail: 'no answer for 3 s' }]);
  await unready.drain();
});

test('a handler that takes too long is answered for, and its signal aborted', async () => {
  const answer = await api.get('/api/v1/faults/slow');
  assert.is(answer.headers.get('retry-after'), '1');
  await problemIn(answer, 503, 'unavailable');
  await until(() => api.signals.aborted === 1);
});

test('a client that leaves aborts the signal', async () => {
  const before = api.signals.aborted;
  await api.get('/api/v1/faults/slow', { signal: AbortSignal.timeout(100) }).then(
    () => assert.unreachable(),
    () => undefined,
  );
  await until(() => api.signals.aborted === before + 1);
});

test('the rate limit counts per principal, sets draft-8 headers and answers 429', async () => {
  const limited = await startApi({ limits: { rate: { requests: 3, windowMs: 60_000 } } });
  const ask = async (sub: string): Promise<Response> =>
    await fetch(`${limited.url}/api/v1/things`, { headers: { Authorization: `Bearer ${tokenFor({ sub })}` } });
  const first = await ask('ada');
  assert.match(first.headers.get('ratelimit') ?? '', /^"requests"; r=2; t=\d+$/);
  assert.match(first.headers.get('ratelimit-policy') ?? '', /^"requests"; q=3; w=60; pk=:[\w=]+:$/);
  await ask('ada');
  await ask('ada');
  const refused = await ask('ada');
  assert.ok(Number(refused.headers.get('retry-after')) > 50);
  assert.is((await problemIn(refused, 429, 'rate-limited')).retryable, true);
  assert.is((await ask('grace')).status, 200);
  for (let i = 0; i < 3; i += 1) await problemIn(await fetch(`${limited.url}/api/v1/things`), 401, 'unauthenticated');
  await problemIn(await fetch(`${limited.url}/api/v1/things`), 429, 'rate-limited');
  assert.is((await ask('grace')).status, 200);
  for (let i = 0; i < 5; i += 1) assert.is((await fetch(`${limited.url}/health/live`)).status, 200);
  await limited.drain();
});

test('a body on GET is refused', async () => {
  const text = await new Promise<string>((resolve) => {
    let seen = '';
    const socket = connect(api.port, '127.0.0.1', () =>
      socket.write(
        `GET /api/v1/things HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${tokenFor()}\r\nContent-Length: 2\r\n\r\n{}`,
      ),
    );
    socket.on('data', (chunk) => (seen += chunk.toString()));
    socket.on('end', () => resolve(seen));
  });
  assert.match(text, /^HTTP\/1\.1 400 /);
});

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i += 1) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(condition(), 'in time');
}

test.run();
