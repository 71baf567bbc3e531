/** What NATS JetStream is known to do, each on a server of its own that may be killed, frozen and wiped. */
import { writeFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AckPolicy } from 'nats';
import * as assert from 'uvu/assert';
import type { Bus, WakeUp } from '../../domain/ports.ts';
import { consumer, delta, reader, until, wakeUp } from '../contracts/busUsers.ts';
import { suite } from '../harness.ts';
import { type NatsServer, startNatsServer } from '../natsServer.ts';
import { natsProgramForTests } from '../services.ts';
import { type Installation, natsInstallation } from './natsInstallation.ts';

const test = suite('traps of NATS');
const deadlineMs = 60_000;
const HEALED_MS = 25_000;

let server: NatsServer;
let installation: Installation;

test.before.each(async () => {
  server = await startNatsServer(await natsProgramForTests());
  installation = natsInstallation(server.url);
});
test.after.each(async () => {
  server.thaw();
  await installation.stop();
  await server.stop();
});

/** The first wake-up, taken and not acknowledged. */
async function take(bus: Bus): Promise<{ wakeUp: WakeUp; ack: () => void }> {
  for await (const each of bus.wakeUps({ signal: AbortSignal.timeout(HEALED_MS) })) return each;
  throw new Error('no wake-up came');
}

async function kept(): Promise<number> {
  const jsm = await installation.manager();
  return (await jsm.streams.info(installation.names.wakeUps.stream)).state.messages;
}

async function gone(): Promise<void> {
  let left = -1;
  for (const end = performance.now() + HEALED_MS; left !== 0 && performance.now() < end;) left = await kept();
  assert.is(left, 0);
}

/** Wakes again and again, as sweeps do, until one comes. */
async function wakesAgain(bus: Bus, at: { readonly got: WakeUp[] }): Promise<void> {
  const before = at.got.length;
  await whileWaking(bus, () => at.got.length > before);
}

/** One that is sent while a server comes back may be lost: so there are always more. */
async function whileWaking(bus: Bus, holds: () => boolean): Promise<void> {
  let last = -Infinity;
  await until(() => {
    if (performance.now() - last > 500) {
      last = performance.now();
      void bus.wake(wakeUp());
    }
    return holds();
  }, HEALED_MS);
}

test(
  'T1: a wake-up that nobody acknowledges never stays behind undelivered',
  async () => {
    const bus = installation.bus({ ackWaitMs: 100 });
    await bus.check();
    const sent = wakeUp();
    await bus.wake(sent);
    for (let i = 0; i < 8; i += 1) assert.equal((await take(bus)).wakeUp, sent);
    (await take(bus)).ack();
    await gone();
  },
  { deadlineMs },
);

test(
  'T2: all processes share one consumer',
  async () => {
    const buses = [installation.bus(), installation.bus(), installation.bus()];
    await Promise.all(buses.map((bus) => bus.check()));
    const jsm = await installation.manager();
    const { stream } = installation.names.wakeUps;
    assert.is((await jsm.streams.info(stream)).state.consumer_count, 1);
    const second = jsm.consumers.add(stream, { durable_name: 'second', ack_policy: AckPolicy.Explicit });
    assert.match(String(await second.catch((error: unknown) => error)), /filtered consumer|unique|not allowed/);
  },
  { deadlineMs },
);

test(
  'T3: a wake-up whose like was purged comes again soon, though the server remembers its id',
  async () => {
    const bus = installation.bus();
    await bus.check();
    const sent = wakeUp();
    await bus.wake(sent);
    while ((await kept()) === 0);
    await (await installation.manager()).streams.purge(installation.names.wakeUps.stream);
    const taker = consumer(bus);
    let last = -Infinity;
    await until(() => {
      if (performance.now() - last > 300) void bus.wake(sent);
      if (performance.now() - last > 300) last = performance.now();
      return taker.got.length > 0;
    }, HEALED_MS);
    await taker.stop();
  },
  { deadlineMs },
);

test(
  'T4: acknowledged wake-ups that come again after a crash are the old ones, and new ones come too',
  async () => {
    const bus = installation.bus();
    await bus.check();
    const taker = consumer(bus);
    const sent = Array.from({ length: 200 }, () => wakeUp());
    for (const each of sent) await bus.wake(each);
    await until(() => taker.got.length >= sent.length);
    await server.kill();
    await server.restart();
    await wakesAgain(bus, taker);
    const known = new Set(sent.map(({ turnId }) => turnId));
    assert.ok(sent.every(({ turnId }) => taker.got.some((got) => got.turnId === turnId)));
    await whileWaking(bus, () => taker.got.some(({ turnId }) => !known.has(turnId)));
    await taker.stop();
  },
  { deadlineMs },
);

test(
  'T6, T8: what a dead worker held comes to another one after the ack wait, and its late ack harms nobody',
  async () => {
    const [dead, alive] = [installation.bus({ ackWaitMs: 500 }), installation.bus()];
    await dead.check();
    const sent = wakeUp();
    await dead.wake(sent);
    const held = await take(dead);
    const again = await take(alive);
    assert.equal(again.wakeUp, sent);
    held.ack();
    again.ack();
    await gone();
  },
  { deadlineMs },
);

test(
  'T9: a frozen server holds nobody up, and after it everything goes on',
  async () => {
    const bus = installation.bus();
    await bus.check();
    const taker = consumer(bus);
    const viewer = reader(bus, { project: '*' });
    await wakesAgain(bus, taker);
    server.freeze();
    const started = performance.now();
    for (let i = 0; i < 1_000; i += 1) {
      await bus.wake(wakeUp());
      bus.publish(delta({ offset: i }));
    }
    bus.endTurn('t');
    assert.ok(performance.now() - started < 3_000);
    server.thaw();
    await wakesAgain(bus, taker);
    bus.publish(delta({ turnId: 'after' }));
    await until(() => viewer.got.some(({ turnId }) => turnId === 'after'), HEALED_MS);
    await Promise.all([taker.stop(), viewer.stop()]);
  },
  { deadlineMs },
);

test(
  'T10: wiped and started again, stream deleted, consumer deleted: wake-ups and deltas resume by themselves',
  async () => {
    const bus = installation.bus();
    await bus.check();
    const taker = consumer(bus);
    const viewer = reader(bus, { project: '*' });
    await wakesAgain(bus, taker);
    await server.kill();
    assert.not.throws(() => bus.publish(delta()));
    await bus.wake(wakeUp());
    server.wipe();
    await server.restart();
    await wakesAgain(bus, taker);
    bus.publish(delta({ turnId: 'after' }));
    await until(() => viewer.got.some(({ turnId }) => turnId === 'after'), HEALED_MS);
    const jsm = await installation.manager();
    const { wakeUps, deltas } = installation.names;
    await jsm.streams.delete(deltas.stream);
    // The server forgets the consumer even where its folder cannot be removed at once, which it then complains about.
    await jsm.consumers.delete(wakeUps.stream, wakeUps.consumer).catch(() => undefined);
    await wakesAgain(bus, taker);
    await jsm.streams.delete(wakeUps.stream);
    await wakesAgain(bus, taker);
    const late = reader(bus, { project: '*' });
    bus.publish(delta({ turnId: 'late' }));
    await until(() => late.got.some(({ turnId }) => turnId === 'late'), HEALED_MS);
    await Promise.all([taker.stop(), viewer.stop(), late.stop()]);
  },
  { deadlineMs: 120_000 },
);

test(
  'T11: a store that is full refuses wake-ups, which are lost without an error, and takes them again when it has room',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'colloquy-nats-full-'));
    const config = join(folder, 'nats.conf');
    await writeFile(config, 'jetstream { max_file_store: 200KB }');
    const small = await startNatsServer(await natsProgramForTests(), { args: ['-c', config] });
    const inSmall = natsInstallation(small.url);
    try {
      const bus = inSmall.bus({ eventsMaxBytes: 16 * 1024 });
      await bus.check();
      for (let i = 0; i < 3_000; i += 1) await bus.wake(wakeUp());
      await until(() => inSmall.faults.some((fault) => /could not be stored/.test(fault)), HEALED_MS);
      const jsm = await inSmall.manager();
      await jsm.streams.purge(inSmall.names.wakeUps.stream);
      const taker = consumer(bus);
      await wakesAgain(bus, taker);
      await taker.stop();
    } finally {
      await inSmall.stop();
      await small.stop();
      await rm(folder, { recursive: true });
    }
  },
  { deadlineMs },
);

test.run();
