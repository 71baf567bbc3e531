/** The one live subscription and what feeds on it, through every fault of the server. On the stand-in. */
import { EventStoreDBClient, jsonEvent } from '@eventstore/db-client';
import * as assert from 'uvu/assert';
import { NO_STREAM } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { RecordedEvent } from '../../domain/envelope.ts';
import type { EventStoreDB } from '../../infra/eventstoredb.ts';
import { rejected } from '../contracts/eventStore.ts';
import { aStream, collect, follow, messages } from '../contracts/sampleEvents.ts';
import { suite } from '../harness.ts';
import { type StandinLog, standinLog, systemSleep } from './eventstoredbStores.ts';

const test = suite('subscription to EventStoreDB');
const SLOW = { deadlineMs: 90_000 };
const HASTY = { appendMs: 10_000, quietMs: 1_000, watchMs: 300 };
let log: StandinLog;

test.before.each(async () => void (log = await standinLog({ deadlines: HASTY })));
test.after.each(async () => await log.stop());

/** Gathers events from the head on, and says when it listens. */
async function reader(store: EventStoreDB): Promise<{ seen: RecordedEvent[]; stop: () => Promise<void> }> {
  const [seen, over]: [RecordedEvent[], AbortController] = [[], new AbortController()];
  let ready = (): void => undefined;
  const listening = new Promise<void>((resolve) => (ready = resolve));
  const after = await store.head();
  const reading = (async () => {
    for await (const { events, caughtUp } of store.subscribe(after, { signal: over.signal })) {
      seen.push(...events);
      if (caughtUp) ready();
    }
  })();
  await listening;
  await until(() => store.stats().live.connected);
  return { seen, stop: async () => (over.abort(), await reading) };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await systemSleep.sleep(10);
}

/** Appends until the server takes it: the identical batch, as the port says. */
async function surely(store: EventStoreDB, stream: string, batch: ReturnType<typeof messages>, at: number) {
  for (;;) {
    try {
      return await store.append(stream, batch, at);
    } catch (error) {
      if (error instanceof Refusal && !error.retryable) throw error;
      await systemSleep.sleep(20);
    }
  }
}

async function exactly(seen: readonly RecordedEvent[], after: bigint): Promise<void> {
  const all = await collect(log.store.readAll(after));
  await until(() => seen.length >= all.length);
  assert.equal(
    seen.map(({ id }) => id),
    all.map(({ id }) => id),
  );
}

test(
  'E7 E8: the server dies again and again, and every event is seen once and in order',
  async () => {
    const { seen, stop } = await reader(log.store);
    const stream = aStream();
    for (let round = 0; round < 4; round += 1) {
      for (let i = 0; i < 20; i += 1) await surely(log.store, stream, messages(2), (round * 20 + i) * 2 - 1);
      const { subscribed } = log.store.stats().live;
      if (round % 2 === 0) await log.server.faults.set('stopped');
      else log.server.cut();
      await log.server.faults.clear();
      // Not "until it is lost": it may be back before anybody looks.
      await until(() => log.store.stats().live.subscribed > subscribed);
    }
    await surely(log.store, stream, messages(1), 159);
    await exactly(seen, 0n);
    assert.is(seen.length, 161);
    assert.ok(log.store.stats().live.subscribed >= 5);
    assert.ok(log.errors.length >= 4);
    await stop();
  },
  SLOW,
);

test(
  'E8: a server that falls silent is noticed by what others appended',
  async () => {
    const { seen, stop } = await reader(log.store);
    const [first] = await Promise.all([log.store.append(aStream(), messages(1), NO_STREAM)]);
    await until(() => seen.length === 1);
    const { subscribed } = log.store.stats().live;
    await log.server.faults.set('mute');
    await until(() => !log.store.stats().live.connected);
    await log.server.faults.clear();
    await surely(log.another(), aStream(), messages(3), NO_STREAM);
    await until(() => seen.length === 4);
    assert.ok(log.store.stats().live.subscribed > subscribed);
    await exactly(seen.slice(1), first.position);
    await stop();
  },
  SLOW,
);

test(
  'E13: any number of subscribers share one call',
  async () => {
    const readers = await Promise.all(Array.from({ length: 120 }, () => reader(log.store)));
    await log.store.append(aStream(), messages(5), NO_STREAM);
    await until(() => readers.every(({ seen }) => seen.length === 5));
    assert.is(log.server.stats.openSubscriptions, 1);
    assert.is(log.store.stats().subscriptions, 120);
    await Promise.all(readers.map(({ stop }) => stop()));
    assert.is(log.store.stats().subscriptions, 0);
  },
  SLOW,
);

test(
  'a slow server delays events, nothing else',
  async () => {
    const { seen, stop } = await reader(log.store);
    await log.server.faults.set('slowSubscription', { delayMs: 30 });
    await Promise.all(Array.from({ length: 10 }, () => log.store.append(aStream(), messages(3), NO_STREAM)));
    await exactly(seen, 0n);
    await stop();
  },
  SLOW,
);

test(
  '10,000 events are caught up with once and in order, while more come and the connection breaks',
  async () => {
    const streams = Array.from({ length: 20 }, aStream);
    for (let i = 0; i < 5; i += 1)
      await Promise.all(streams.map((stream) => surely(log.store, stream, messages(100), i * 100 - 1)));
    const writer = log.another();
    const writing = (async () => {
      for (const stream of streams) {
        await surely(writer, stream, messages(1), 499);
        log.server.cut();
      }
    })();
    const { events } = await follow(log.another({ deadlines: {} }), 0n, (seen) => seen.length >= 10_020);
    await writing;
    assert.is(events.length, 10_020);
    assert.is(new Set(events.map(({ id }) => id)).size, 10_020);
    assert.ok(events.every(({ position }, i) => position > (events[i - 1]?.position ?? 0n)));
  },
  SLOW,
);

test(
  'who dawdles reads pages when memory has moved on, and memory stays bounded',
  async () => {
    const slices = log.store
      .subscribe(await log.store.head(), { signal: new AbortController().signal })
      [Symbol.asyncIterator]();
    assert.equal((await slices.next()).value, { events: [], caughtUp: true });
    await until(() => log.store.stats().live.connected);
    const streams = Array.from({ length: 30 }, aStream);
    await Promise.all(streams.map((stream) => surely(log.store, stream, messages(300), NO_STREAM)));
    const head = await log.store.head();
    let seen = 0;
    for (let last = 0n; last < head;) {
      const result = await slices.next();
      if (result.done === true) throw new Error('the subscription ended');
      seen += result.value.events.length;
      last = result.value.events.at(-1)?.position ?? last;
    }
    assert.is(seen, 9_000);
    assert.ok(log.store.stats().tail.events <= 8_192);
    await slices.return?.();
  },
  SLOW,
);

test(
  "other programs' streams, the system's and the lineage are never shown",
  async () => {
    const client = EventStoreDBClient.connectionString(log.server.url);
    const foreign = async (stream: string): Promise<unknown> =>
      await client.appendToStream(stream, jsonEvent({ type: 'Theirs', data: { a: 1 } }));
    const { seen, stop } = await reader(log.store);
    const lineage = await log.store.lineage();
    const mine = await log.store.append(aStream(), messages(2), NO_STREAM);
    for (const stream of ['orders-1', 'discussions-1', 'discussion-theirs']) await foreign(stream);
    for (let i = 0; i < 200; i += 1) await foreign('orders-2');
    assert.is(await log.store.head(), mine.position);
    assert.is(await log.another().head(), mine.position);
    assert.is(await log.another().lineage(), lineage);
    const late = await log.store.append(aStream(), messages(1), NO_STREAM);
    assert.is(await log.store.head(), late.position);
    await exactly(seen, 0n);
    assert.is(seen.length, 3);
    assert.equal(
      (await collect(log.another().readAll(mine.position))).map(({ position }) => position),
      [late.position],
    );
    // Asked for by type, the server sends other programs' events of that name, too.
    await client.appendToStream('orders-3', jsonEvent({ type: 'MessagePosted@1', data: { a: 1 } }));
    const last = await log.store.append(aStream(), messages(1), NO_STREAM);
    const typed = await collect(log.another().readAll(mine.position, { types: ['MessagePosted'] }));
    assert.equal(
      typed.map(({ position }) => position),
      [late.position, last.position],
    );
    await stop();
    await client.dispose();
  },
  SLOW,
);

test(
  'a position beyond the end, or in the middle of an event, ends the subscription with what to do',
  async () => {
    await log.store.append(aStream(), messages(2), NO_STREAM);
    const head = await log.store.head();
    for (const position of [head + 1_000_000n, head - 1n]) {
      const error = await rejected(
        collect(log.store.subscribe(position, { signal: new AbortController().signal })),
        Refusal,
      );
      assert.is(error.code, 'invalid');
      assert.match(error.message, new RegExp(String(position)));
    }
    assert.equal(await collect(log.store.readAll(head + 1_000_000n)), []);
    assert.is(log.store.stats().subscriptions, 0);
  },
  SLOW,
);

test('a store that was closed has ended its subscriptions and refuses appends and reads', async () => {
  const { stop } = await reader(log.store);
  await log.store.close();
  await stop();
  for (const call of [log.store.append(aStream(), messages(1), NO_STREAM), log.store.head()])
    assert.is((await rejected(call, Refusal)).code, 'unavailable');
  await until(() => log.server.stats.openSubscriptions === 0);
});

test.run();
