/** Many viewers of one discussion, and some who do not read. */
import { connect, type Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { dataOf, watch } from './eventSource.ts';
import { startServiceForTests, type TestService } from './serviceForTests.ts';
import { expected, logOf, quietDiscussion, talkingDiscussion } from './serviceScenes.ts';

const test = suite('viewers');
let on: TestService;

test.before(async () => {
  on = await startServiceForTests();
});
test.after(async () => {
  await on.stop();
});

const open = (id: string) =>
  watch(`${on.url}/api/v1/discussions/${id}/stream`, { Authorization: `Bearer ${on.service.token}` });

test(
  '200 viewers of one discussion all see everything',
  async () => {
    const { id } = await talkingDiscussion(on, 3);
    const viewers = await Promise.all(Array.from({ length: 200 }, () => open(id)));
    await Promise.all(viewers.map(({ ended }) => ended));
    const log = JSON.stringify(await logOf(on, id));
    for (const { frames } of viewers) {
      assert.ok(JSON.stringify(dataOf(frames)) === log, 'what was seen is the log');
      assert.is(frames.at(-1)?.event, 'end');
    }
    const metrics = await (
      await fetch(`${on.url}/metrics`, { headers: { Authorization: `Bearer ${on.service.token}` } })
    ).text();
    assert.match(metrics, /sse_clients 0\n/);
  },
  { deadlineMs: 60_000 },
);

/** Asks for a stream and reads nothing of it. */
async function silentViewer(id: string): Promise<Socket> {
  const { hostname, port } = new URL(on.url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.pause();
  socket.write(
    `GET /api/v1/discussions/${id}/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${on.service.token}\r\n\r\n`,
  );
  return socket;
}

test(
  'viewers who do not read hold nobody back, and get the rest from the log when they read after all',
  async () => {
    const { id } = await quietDiscussion(on);
    const silent = await Promise.all(Array.from({ length: 5 }, () => silentViewer(id)));
    const reading = await open(id);
    await reading.until(({ event }) => event === 'caught-up');
    // More than the sockets' own buffers take.
    const content = 'x'.repeat(99_000);
    for (let i = 0; i < 100; i += 1) {
      const { revision } = expected(await on.post(`/discussions/${id}/messages`, { content }), 201);
      const seen = await reading.until(({ id: frameId }) => frameId === String(revision));
      assert.is(seen.event, 'MessagePosted');
    }
    const [late] = silent;
    if (late === undefined) throw new Error('nobody is silent');
    // Who reads after all gets the rest from the log.
    let received = 0;
    let tail = '';
    late.on('data', (chunk: Buffer) => {
      received += chunk.length;
      tail = (tail + chunk.toString('latin1')).slice(-400_000);
    });
    late.resume();
    expected(await on.post(`/discussions/${id}/conclude`), 200);
    await reading.ended;
    for (const endsAt = performance.now() + 15_000; !tail.includes('event: end') && performance.now() < endsAt;)
      await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok(tail.includes('event: end'));
    assert.ok(received > 100 * 99_000, 'every message came, from the log');
    for (const socket of silent) socket.destroy();
  },
  { deadlineMs: 60_000 },
);

test.run();
