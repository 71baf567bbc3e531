/** The announcer on a real NATS server that is killed and wiped under it. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { NO_STREAM } from '../../domain/ports.ts';
import { systemIds } from '../../infra/system.ts';
import { runAnnouncer } from '../../workers/announce.ts';
import { messages } from '../contracts/sampleEvents.ts';
import { suite } from '../harness.ts';
import { natsInstallation, type Installation } from '../infra/natsInstallation.ts';
import { type NatsServer, startNatsServer } from '../natsServer.ts';
import { natsProgramForTests } from '../services.ts';
import { createMemoryEventStore, type MemoryEventStore } from '../standins/memoryEventStore.ts';
import { wallClock } from '../standins/wallClock.ts';

const test = suite('announcer');
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

let server: NatsServer;
let installation: Installation;
let store: MemoryEventStore;
let running: { stop(): Promise<void> }[];

test.before(async () => void (server = await startNatsServer(await natsProgramForTests())));
test.after(() => server.stop());
test.before.each(() => {
  installation = natsInstallation(server.url);
  store = createMemoryEventStore({ gap: 3n });
  running = [];
});
test.after.each(async () => {
  await Promise.all(running.map((each) => each.stop()));
  await installation.stop();
});

/** One process's announcer. */
async function announcer(): Promise<{ stop(): Promise<void> }> {
  const bus = installation.bus();
  await bus.check();
  const over = new AbortController();
  const { announcements } = bus;
  const loop = runAnnouncer({ store, announcements, clock: wallClock, ids: systemIds, log: silent }, over.signal);
  const one = {
    async stop() {
      over.abort();
      await loop;
    },
  };
  running.push(one);
  return one;
}

async function append(count: number): Promise<void> {
  await store.append(`discussion-${randomUUID()}`, messages(count), NO_STREAM);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 25_000; performance.now() < end; await delay(20))
    if (await holds().catch(() => false)) return;
  throw new Error('did not come true within 25 s');
}

async function positions(): Promise<string[]> {
  return (await installation.announced()).map(({ body }) => (body as { position: string }).position);
}

/** Everything the log has after `from` events, once and in order. */
async function assertAnnounced(from = 0): Promise<void> {
  const expected = store.events.slice(from).map(({ position }) => position.toString());
  await until(async () => (await positions()).at(-1) === expected.at(-1));
  const found = await positions();
  const differs = expected.findIndex((position, i) => found[i] !== position);
  assert.is(differs, -1, `${found[differs]} instead of ${expected[differs]}`);
  assert.is(found.length, expected.length);
}

/** Waits until the announcers follow: what is appended from here on is theirs. */
async function announcing(): Promise<void> {
  await until(async () => {
    await append(1);
    await delay(100);
    return (await positions()).length > 0;
  });
}

test(
  'what was there before the first announcer is not announced, everything after it is, as the API shows it',
  async () => {
    await append(3);
    await announcer();
    await announcing();
    await append(2);
    const first = (await positions())[0] ?? '';
    await assertAnnounced(store.events.findIndex(({ position }) => position.toString() === first));
    assert.ok(BigInt(first) > 9n);
    const [one] = await installation.announced();
    assert.match(one?.subject ?? '', /^colloquy\.[0-9a-f]{12}\.events\.default\.discussion\.MessagePosted$/);
    assert.is((one?.body as { id: string }).id, one?.id);
  },
  { deadlineMs: 60_000 },
);

test(
  'two announcers at once: every event once, in order, without a gap; when one stops the other goes on',
  async () => {
    const first = await announcer();
    const second = await announcer();
    await announcing();
    const [begin = ''] = await positions();
    const from = store.events.findIndex(({ position }) => position.toString() === begin);
    for (let i = 0; i < 40; i += 1) {
      await append(7);
      if (i % 10 === 0) await delay(5);
    }
    await assertAnnounced(from);
    await first.stop();
    await append(50);
    await assertAnnounced(from);
    await announcer();
    await second.stop();
    await append(50);
    await assertAnnounced(from);
  },
  { deadlineMs: 90_000 },
);

test(
  'a server that is killed in the middle, twice: still every event once, in order, without a gap',
  async () => {
    await announcer();
    await announcer();
    await announcing();
    const [begin = ''] = await positions();
    for (let kills = 0; kills < 2; kills += 1) {
      await append(400);
      await server.kill();
      await append(400);
      await server.restart();
      await append(100);
    }
    await assertAnnounced(store.events.findIndex(({ position }) => position.toString() === begin));
  },
  { deadlineMs: 120_000 },
);

test(
  'a wiped store: the announcer that lives on goes on where it was',
  async () => {
    await announcer();
    await announcing();
    await append(5);
    const before = store.events.length;
    await until(async () => (await positions()).at(-1) === store.events.at(-1)?.position.toString());
    await server.kill();
    server.wipe();
    await append(5);
    await server.restart();
    await append(5);
    await assertAnnounced(before);
  },
  { deadlineMs: 90_000 },
);

test.run();
