/** What a start says of a NATS server that cannot be used, and how the bus goes on with one that comes later. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import * as assert from 'uvu/assert';
import { Refusal } from '../../domain/refusal.ts';
import { parseNatsUrl } from '../../infra/natsConnection.ts';
import { natsNames, subjectToken } from '../../infra/natsNames.ts';

import { consumer, delta, until, wakeUp } from '../contracts/busUsers.ts';
import { suite } from '../harness.ts';
import { startNatsServer } from '../natsServer.ts';
import { natsForTests, natsProgramForTests } from '../services.ts';
import { natsInstallation } from './natsInstallation.ts';

const test = suite('start with NATS');
const deadlineMs = 40_000;

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Refusal)) throw new Error(`no refusal: ${String(error)}`);
  assert.is(error.code, 'unavailable');
  assert.is(error.retryable, false);
  assert.ok(!error.message.includes('\n'));
  return error.message;
}

/** Refuses with the words, never longer than a start may wait, and ends quietly. */
async function refuses(url: string, words: RegExp): Promise<void> {
  const installation = natsInstallation(url);
  const bus = installation.bus();
  const started = performance.now();
  assert.match(await refusal(bus.check()), words);
  assert.ok(performance.now() - started < 15_000);
  assert.is(bus.connected(), false);
  for (const said of installation.faults) assert.ok(!said.includes('hidden'), said);
  await bus.close();
}

test('a server that is not there: refused with what to do', () => refuses('nats://127.0.0.1:1', /does not answer/), {
  deadlineMs,
});

test(
  'a wrong password: refused, and never shown',
  async () => {
    const login = ['--user', 'me', '--pass', 'secret'];
    const server = await startNatsServer(await natsProgramForTests(), { args: login });
    const address = server.url.replace('nats://', '');
    await refuses(`nats://me:hidden@${address}`, /refuses the login/);
    const installation = natsInstallation(`nats://me:secret@${address}`);
    assert.match((await installation.bus().check()).version, /^\d+\.\d+/);
    await installation.stop();
    await server.stop();
  },
  { deadlineMs },
);

test(
  'a server without JetStream: refused with how to start it',
  async () => {
    const server = await startNatsServer(await natsProgramForTests(), { jetStream: false });
    const installation = natsInstallation(server.url);
    assert.match(await refusal(installation.bus().check()), /without JetStream: start it with -js/);
    await installation.stop();
    await server.stop();
  },
  { deadlineMs },
);

test(
  'a server that is too old: refused by its version',
  async () => {
    const server = await greeting('2.8.4');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const installation = natsInstallation(`nats://127.0.0.1:${port ?? 0}`);
    const bus = installation.bus();
    assert.match(await refusal(bus.check()), /2\.8\.4 .* too old: use 2\.9 or newer/);
    await bus.close();
    server.close();
  },
  { deadlineMs },
);

/** As much of a server as a client needs to connect. */
async function greeting(version: string): Promise<Server> {
  const info = { server_id: 'x', version, proto: 1, headers: true, jetstream: true, max_payload: 1_048_576 };
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => void (data.includes('PING') && socket.write('PONG\r\n')));
    socket.write(`INFO ${JSON.stringify(info)}\r\n`);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

test(
  'a server that comes only after the start: nothing waits for it, and everything begins when it is there',
  async () => {
    const server = await startNatsServer(await natsProgramForTests());
    await server.kill();
    const installation = natsInstallation(server.url);
    const bus = installation.bus();
    const taker = consumer(bus);
    for (let i = 0; i < 100; i += 1) await bus.wake(wakeUp());
    bus.publish(delta());
    bus.endTurn('t');
    const error = await bus.announcements.last().catch((reason: unknown) => reason);
    assert.is(error instanceof Refusal && error.code, 'unavailable');
    await server.restart();
    await until(() => bus.connected(), 20_000);
    const sent = wakeUp();
    await bus.wake(sent);
    await until(() => taker.got.some(({ turnId }) => turnId === sent.turnId), 20_000);
    await taker.stop();
    await installation.stop();
    await server.stop();
  },
  { deadlineMs },
);

test('installations on one server do not meet', async () => {
  const nats = await natsForTests();
  const [mine, theirs] = [natsInstallation(nats.url), natsInstallation(nats.url)];
  const [bus, other] = [mine.bus(), theirs.bus()];
  await Promise.all([bus.check(), other.check()]);
  const [taker, foreign] = [consumer(bus), consumer(other)];
  await bus.wake(wakeUp());
  await until(() => taker.got.length === 1);
  assert.is(foreign.got.length, 0);
  await Promise.all([taker.stop(), foreign.stop()]);
  await Promise.all([mine.stop(), theirs.stop()]);
  await nats.stop();
});

test('ids in subjects cannot reach another subject, and none is lost', () => {
  assert.is(subjectToken('a-b_C9'), 'a-b_C9');
  assert.is(subjectToken('a.b *>\u00e9='), 'a=2eb=20=2a=3e=c3a9=3d');
  assert.is(subjectToken(''), '=');
  const names = natsNames('12345678-1234-4123-8123-abcdefABCDEF');
  assert.is(names.wakeUps.stream, 'colloquy_abcdefabcdef_wakeups');
  const turn = { project: 'p', discussionId: '>', turnId: '*' };
  assert.is(names.deltaSubject(turn), 'colloquy.abcdefabcdef.deltas.p.=3e.=2a');
  assert.is(names.deltaFilter({ project: '*' }), 'colloquy.abcdefabcdef.deltas.*.*.*');
});

test('servers, logins and encryption are read from the address', () => {
  const { servers, options } = parseNatsUrl('nats://me:p%40ss@one:1, two');
  assert.is(servers, 'one:1, two:4222');
  assert.equal([options.user, options.pass, options.token, options.tls], ['me', 'p@ss', undefined, undefined]);
  const secured = parseNatsUrl('tls://token@one').options;
  assert.equal([secured.user, secured.token, secured.tls], [undefined, 'token', {}]);
  for (const wrong of ['', ',', 'http://one', 'nats://', 'nats://a b', 'nats://me:50%@one'])
    assert.throws(
      () => parseNatsUrl(wrong),
      (error: Error) => error instanceof Refusal && error.code === 'invalid',
    );
});

test.run();
