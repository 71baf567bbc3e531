import { connect } from 'node:net';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { issuesOf, problemCodes, problemOf } from '../../api/problem.ts';
import { Refusal } from '../../domain/refusal.ts';
import { suite } from '../harness.ts';
import { problemIn, startApi, type TestApi, tokenFor } from './apiForTests.ts';
import { THING } from './sampleRoutes.ts';

const test = suite('api problems');
let api: TestApi;

test.before(async () => {
  api = await startApi();
});
test.after(async () => {
  await api.drain();
});

const pointers = (problem: { errors: { pointer: string }[] }): string[] => problem.errors.map(({ pointer }) => pointer);

test('an unknown path is 404, with and without a token', async () => {
  const problem = await problemIn(await api.get('/api/v1/nothing'), 404, 'not-found');
  assert.is(problem.instance, '/api/v1/nothing');
  await problemIn(await fetch(`${api.url}/API/v1/things`), 404, 'not-found');
  await problemIn(await api.get('/api/v1/things/'), 404, 'not-found');
});

test('a wrong method is 405 with Allow', async () => {
  const answer = await api.get('/api/v1/things', { method: 'PUT' });
  assert.is(answer.headers.get('allow'), 'GET, HEAD, POST, OPTIONS');
  await problemIn(answer, 405, 'method-not-allowed');
  await problemIn(await api.get('/health/live', { method: 'DELETE' }), 405, 'method-not-allowed');
  const options = await api.get('/api/v1/things', { method: 'OPTIONS' });
  assert.is(options.status, 204);
  assert.is(options.headers.get('allow'), 'GET, HEAD, POST, OPTIONS');
});

test('HEAD answers as GET without a body', async () => {
  const answer = await api.get(`/api/v1/things/${THING}`, { method: 'HEAD' });
  assert.is(answer.status, 200);
  assert.is(answer.headers.get('etag'), '"r7"');
  assert.is(await answer.text(), '');
});

test('other media types, charsets and encodings are 415', async () => {
  for (const type of [
    'text/plain',
    'application/xml',
    'application/json; charset=latin1',
    'application/jsonx',
    'multipart/form-data',
  ])
    await problemIn(
      await api.post('/api/v1/things', '{"name":"x"}', { 'Content-Type': type }),
      415,
      'unsupported-media-type',
    );
  await problemIn(
    await api.post('/api/v1/things', '{"name":"x"}', { 'Content-Encoding': 'gzip' }),
    415,
    'unsupported-media-type',
  );
  assert.is(
    (await api.post('/api/v1/things', { name: 'x' }, { 'Content-Type': 'Application/JSON;charset="UTF-8"' })).status,
    201,
  );
});

test('malformed JSON, no body and bad UTF-8 are 400', async () => {
  for (const body of ['{', '{"name":}', '[1,]', 'undefined', '{"name":"x"}}', '\ufeff{'])
    await problemIn(await api.post('/api/v1/things', body), 400, 'invalid');
  await problemIn(await api.post('/api/v1/things', ''), 400, 'invalid');
  const bytes = await api.get('/api/v1/things', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: Buffer.from([0x7b, 0x22, 0x6e, 0x61, 0x6d, 0x65, 0x22, 0x3a, 0x22, 0xff, 0x22, 0x7d]),
  });
  await problemIn(bytes, 400, 'invalid');
  for (const body of ['null', '7', '"text"', '[]'])
    assert.equal(pointers(await problemIn(await api.post('/api/v1/things', body), 400, 'invalid')), ['']);
});

test('more than 256 KiB is 413, with and without Content-Length', async () => {
  const body = JSON.stringify({ name: 'x'.repeat(300_000) });
  await problemIn(await api.post('/api/v1/things', body), 413, 'too-large');
  const chunked = await fetch(`${api.url}/api/v1/things`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${tokenFor()}`, 'Content-Type': 'application/json' },
    body: new Blob([body]).stream(),
    duplex: 'half',
  });
  await problemIn(chunked, 413, 'too-large');
});

test('the words of the core become statuses, with Retry-After and actualRevision', async () => {
  const behind = await api.get('/api/v1/faults/behind');
  assert.is(behind.headers.get('retry-after'), '3');
  assert.is((await problemIn(behind, 503, 'projection-behind')).retryable, true);
  assert.is((await problemIn(await api.get('/api/v1/faults/revision'), 409, 'conflict')).actualRevision, 5);
  const mismatch = await api.post(`/api/v1/things/${THING}/rename`, {}, { 'If-Match': '"r2"' });
  assert.is((await problemIn(mismatch, 412, 'revision-mismatch')).actualRevision, 3);
  const statuses = problemCodes.map((code) => [
    code,
    problemOf(refusal(code), { instance: '/', requestId: 'r' }).problem.status,
  ]);
  assert.equal(
    Object.fromEntries(statuses.filter(([code]) => code !== 'method-not-allowed' && code !== 'unsupported-media-type')),
    {
      invalid: 400,
      unauthenticated: 401,
      forbidden: 403,
      'not-found': 404,
      conflict: 409,
      'in-flight': 409,
      'revision-mismatch': 412,
      'too-large': 413,
      'key-reused': 422,
      'rate-limited': 429,
      internal: 500,
      unavailable: 503,
      'projection-behind': 503,
    },
  );
});

test('what nobody foresaw is 500, tells nothing, and stands in the log under its request id', async () => {
  for (const fault of ['bug', 'text', 'core', 'undocumented', 'loose']) {
    const problem = await problemIn(await api.get(`/api/v1/faults/${fault}`), 500, 'internal');
    assert.not.match(JSON.stringify(problem), /secret|a text|299|unheard/);
    const line = await logged(problem.requestId);
    assert.is(line['level'], 50);
    assert.ok(line['err'], fault);
  }
});

test('what is not HTTP, and headers too large, still get a problem document', async () => {
  assert.match(
    await raw('NONSENSE\r\n\r\n'),
    /^HTTP\/1\.1 400 [^\r]*\r\nContent-Type: application\/problem\+json[^]*"code":"invalid"/,
  );
  assert.match(
    await raw(`GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`),
    /^HTTP\/1\.1 413 [^]*"code":"too-large"/,
  );
});

test('issues are bounded and pointers escaped', () => {
  const keys = Object.fromEntries(Array.from({ length: 80 }, (_, i) => [`k/${i}~`, 1]));
  const result = z.strictObject({}).safeParse(keys);
  assert.not(result.success);
  const issues = result.error ? issuesOf(result.error, 'body') : [];
  assert.is(issues.length, 50);
  assert.is(issues[0]?.pointer, '/k~10~0');
});

test('each type leads to its paragraph of the docs', async () => {
  const html = await (await fetch(`${api.url}/docs/problems`)).text();
  for (const code of problemCodes) assert.ok(html.includes(`id="${code}"`), code);
});

function refusal(code: (typeof problemCodes)[number]): unknown {
  return code === 'method-not-allowed' || code === 'unsupported-media-type' ? null : new Refusal(code, 'why');
}

async function logged(requestId: string): Promise<Record<string, unknown>> {
  for (let i = 0; i < 100; i += 1) {
    const line = api.log.find((one) => one['requestId'] === requestId);
    if (line) return line;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`no log line for ${requestId}`);
}

async function raw(bytes: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(api.port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
  });
}

test.run();
