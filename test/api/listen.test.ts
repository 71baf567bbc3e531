import { connect } from 'node:net';
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { problemIn, startApi, tokenFor } from './apiForTests.ts';
import { endOpenStreams, THING } from './sampleRoutes.ts';

const test = suite('api listening and drain');
const stream = `/api/v1/things/${THING}/stream`;

test('a drain ends idle connections at once', async () => {
  const api = await startApi();
  await (await api.get('/api/v1/things')).text();
  const started = performance.now();
  await Promise.all([api.drain(), api.drain()]);
  assert.ok(performance.now() - started < 500);
  await fetch(api.url).then(
    () => assert.unreachable('nobody listens'),
    () => undefined,
  );
});

test('a drain tells streams to reconnect and returns when they are gone', async () => {
  const api = await startApi({}, { endStreams: endOpenStreams });
  const answer = await api.get(stream);
  const text = answer.text();
  const started = performance.now();
  await api.drain();
  assert.ok(performance.now() - started < 1_000);
  assert.match(await text, /^: hello ada\n\nevent: reconnect/);
});

test('a drain finishes what is being answered, then closes that connection', async () => {
  const api = await startApi({ limits: { deadlineMs: 400 } });
  const answer = api.get('/api/v1/faults/slow');
  await new Promise((resolve) => setTimeout(resolve, 50));
  const drained = api.drain();
  const ended = await answer;
  assert.is(ended.headers.get('connection'), 'close');
  await problemIn(ended, 503, 'unavailable');
  await drained;
});

test('what does not end by itself is cut when the time is up, also when the hook hangs', async () => {
  const api = await startApi({}, { drainMs: 200, endStreams: () => new Promise(() => undefined) });
  const text = (await api.get(stream)).text();
  text.catch(() => undefined);
  const started = performance.now();
  await api.drain();
  assert.ok(performance.now() - started < 1_500);
  await text.then(
    () => assert.unreachable('it was cut'),
    () => undefined,
  );
});

test('the next free port is taken when asked, else a busy port is an error', async () => {
  const first = await startApi();
  const second = await startApi({}, { port: first.port, nextFreePort: true });
  assert.ok(second.port > first.port && second.port <= first.port + 20);
  await startApi({}, { port: first.port }).then(
    () => assert.unreachable(),
    (error: NodeJS.ErrnoException) => assert.is(error.code, 'EADDRINUSE'),
  );
  await Promise.all([first.drain(), second.drain()]);
});

test('headers that trickle in are cut off with a problem; a silent stream is not', async () => {
  const api = await startApi({}, { headersTimeoutMs: 300, requestTimeoutMs: 600, endStreams: endOpenStreams });
  const open = await api.get(stream);
  const slow = await new Promise<string>((resolve) => {
    let seen = '';
    const socket = connect(api.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n'));
    socket.on('data', (chunk) => (seen += chunk.toString()));
    socket.on('end', () => resolve(seen));
  });
  assert.match(slow, /application\/problem\+json[^]*did not arrive in time/);
  const body = await new Promise<string>((resolve) => {
    let seen = '';
    const head = `POST /api/v1/things HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenFor()}\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{`;
    const socket = connect(api.port, '127.0.0.1', () => socket.write(head));
    socket.on('data', (chunk) => (seen += chunk.toString()));
    socket.on('close', () => resolve(seen));
  });
  assert.match(body, /did not arrive in time/);
  let over = false;
  const text = open.text().then((all) => {
    over = true;
    return all;
  });
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  assert.is(over, false, 'the stream outlives the request time-out');
  await api.drain();
  assert.match(await text, /reconnect/);
});

test.run();
