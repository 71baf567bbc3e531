/** One connection: heartbeat, a client that has stalled, one that is only slow. On a clock 20 times as fast. */
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import express from 'express';
import * as assert from 'uvu/assert';
import { openSse, sseFrame, type SseConnection } from '../../api/sse.ts';
import { suite } from '../harness.ts';
import { wallClock } from '../standins/wallClock.ts';

const test = suite('sse');
const FASTER = 20;
const clock = {
  ...wallClock,
  monotonic: () => wallClock.monotonic() * FASTER,
  sleep: (ms: number, signal?: AbortSignal) => wallClock.sleep(ms / FASTER, signal),
};

let server: Server;
let stalled = 0;
let begun: (connection: SseConnection) => void = () => undefined;

test.before(async () => {
  const app = express();
  app.get('/', (_req, res) => begun(openSse(res, clock, () => (stalled += 1))));
  server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
test.before.each(() => {
  stalled = 0;
});
test.after(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

async function opened(): Promise<{ socket: Socket; connection: SseConnection }> {
  const connected = new Promise<SseConnection>((resolve) => (begun = resolve));
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.pause();
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  return { socket, connection: await connected };
}

const frame = sseFrame('x', 'y'.repeat(50_000));
const gone = ({ signal }: SseConnection) =>
  signal.aborted ? Promise.resolve() : new Promise((resolve) => signal.addEventListener('abort', resolve));

/** Sends as fast as there is room, until the connection is over. */
async function sendAlways(connection: SseConnection): Promise<void> {
  while (!connection.signal.aborted) {
    await connection.room();
    connection.send(frame);
    await wallClock.sleep(0);
  }
}

test('begins with how soon to come back; heartbeats follow', async () => {
  const { socket, connection } = await opened();
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  socket.resume();
  for (const endsAt = performance.now() + 3_000; !text.includes(': alive') && performance.now() < endsAt;)
    await wallClock.sleep(10);
  assert.match(text, /retry: 2000\n\n[^]*: alive\n\n/);
  connection.close(sseFrame('end', {}));
  await wallClock.sleep(50);
  assert.match(text, /event: end/);
  socket.destroy();
});

test('a client that takes nothing is cut off, its buffer bounded until then', async () => {
  const { socket, connection } = await opened();
  const sending = sendAlways(connection);
  let roomless = false;
  const looking = setInterval(() => (roomless ||= !connection.roomy), 5);
  await gone(connection);
  clearInterval(looking);
  await sending;
  assert.ok(roomless);
  assert.is(stalled, 1);
  socket.destroy();
});

test('a client that is slow, but reads, is not cut off', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  const { socket, connection } = await opened();
  const sending = sendAlways(connection);
  let received = 0;
  // Whatever has come, then a pause: its buffer is full nearly always.
  const reading = setInterval(() => {
    const chunk = socket.read() as Buffer | null;
    received += chunk?.length ?? 0;
  }, 10);
  await wallClock.sleep(3_000);
  assert.is(stalled, 0, 'in 60 s of its time');
  assert.not(connection.signal.aborted);
  assert.ok(received > 1_000_000, `${received} bytes`);
  clearInterval(reading);
  socket.destroy();
  await gone(connection);
  await sending;
  process.off('warning', onWarning);
  assert.equal(warnings, [], 'no listener is left behind');
});

test('a client that leaves ends what waits for room', async () => {
  const { socket, connection } = await opened();
  const sending = sendAlways(connection);
  while (connection.roomy) await wallClock.sleep(5);
  socket.destroy();
  await sending;
  connection.send(frame);
  connection.close('late');
});

test.run();
