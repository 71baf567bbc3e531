/** What every adapter of the EventStore port does for subscribers. */
import * as assert from 'uvu/assert';
import { setTimeout as delay } from 'node:timers/promises';
import { NO_STREAM, type EventStore, type Slice } from '../../domain/ports.ts';
import type { Suite } from '../harness.ts';
import { aStream, collect, follow, messages } from './sampleEvents.ts';

/** Adds the part of the suite that is about `subscribe`. */
export function eventStoreSubscriptions(test: Suite, store: () => EventStore): void {
  catchingUp(test, store);
  live(test, store);
  leaving(test, store);
}

function catchingUp(test: Suite, store: () => EventStore): void {
  test('a subscription from the start, the middle and the end sees what readAll sees', async () => {
    await store().append(aStream(), messages(3), NO_STREAM);
    const all = await collect(store().readAll(0n));
    const middle = Math.floor(all.length / 2);
    for (const from of [0, middle, all.length - 1]) {
      const after = from === 0 ? 0n : (all[from - 1]?.position ?? 0n);
      const { events } = await follow(store(), after, (_, slice) => slice.caughtUp);
      assert.equal(events, all.slice(from));
    }
  });

  test('says that it has caught up when there is nothing, and again after more', async () => {
    const head = await store().head();
    const stop = new AbortController();
    const slices = store().subscribe(head, { signal: stop.signal })[Symbol.asyncIterator]();
    const next = async (): Promise<Slice> => {
      const result = await slices.next();
      if (result.done === true) throw new Error('the subscription ended');
      return result.value;
    };
    assert.equal(await next(), { events: [], caughtUp: true });
    await store().append(aStream(), messages(2), NO_STREAM);
    let seen = 0;
    for (let slice = await next(); ; slice = await next()) {
      seen += slice.events.length;
      if (slice.caughtUp) break;
    }
    assert.is(seen, 2);
    stop.abort();
    assert.is((await slices.next()).done, true);
  });
}

function live(test: Suite, store: () => EventStore): void {
  test('wakes after a commit, long before any polling would', async () => {
    const latenciesMs: number[] = [];
    const stop = new AbortController();
    const sent = new Map<string, number>();
    let caughtUp = (): void => undefined;
    const ready = new Promise<void>((resolve) => (caughtUp = resolve));
    const reader = (async () => {
      for await (const slice of store().subscribe(await store().head(), { signal: stop.signal })) {
        for (const { id } of slice.events) latenciesMs.push(performance.now() - (sent.get(id) ?? 0));
        if (slice.caughtUp) caughtUp();
        if (latenciesMs.length === 20) return;
      }
    })();
    await ready;
    for (let i = 0; i < 20; i += 1) {
      const batch = messages(1);
      sent.set(batch[0]?.id ?? '', performance.now());
      await store().append(aStream(), batch, NO_STREAM);
    }
    await reader;
    stop.abort();
    latenciesMs.sort((a, b) => a - b);
    assert.ok((latenciesMs[10] ?? Infinity) < 500, `median ${latenciesMs[10]} ms`);
  });

  test('a reader that dawdles misses nothing and holds nobody back', async () => {
    const head = await store().head();
    const total = 600;
    const slow = (async () => {
      let seen = 0;
      for await (const { events } of store().subscribe(head, { signal: new AbortController().signal })) {
        await delay(30);
        seen += events.length;
        if (seen >= total) return seen;
      }
      return seen;
    })();
    const quick = follow(store(), head, (events) => events.length >= total);
    const streams = Array.from({ length: 20 }, aStream);
    await Promise.all(streams.map((stream) => store().append(stream, messages(30), NO_STREAM)));
    const { events } = await quick;
    assert.ok(events.every(({ position }, i) => position > (events[i - 1]?.position ?? head)));
    assert.is(await slow, total);
  });
}

function leaving(test: Suite, store: () => EventStore): void {
  test(
    '300 reads and subscriptions left by break hold nothing back',
    async () => {
      const stream = aStream();
      await store().append(stream, messages(5), NO_STREAM);
      for (let i = 0; i < 300; i += 1) {
        for await (const event of store().read(stream)) if (event.revision === 0) break;
        await follow(store(), 0n, () => true);
      }
      assert.is((await store().append(stream, messages(1), 4)).revision, 5);
      assert.is((await collect(store().read(stream))).length, 6);
    },
    { deadlineMs: 60_000 },
  );

  test('an error in the loop and a return end the subscription', async () => {
    const failing = (async () => {
      for await (const slice of store().subscribe(0n, { signal: new AbortController().signal }))
        throw new Error(`left at ${slice.events.length}`);
    })();
    await failing.then(
      () => assert.unreachable(),
      (error: unknown) => assert.match(String(error), /left at/),
    );
    const head = await store().head();
    const slices = store().subscribe(head, { signal: new AbortController().signal })[Symbol.asyncIterator]();
    await slices.next();
    const pending = slices.next();
    await slices.return?.();
    assert.is((await pending).done, true);
  });

  test('ends quietly when its signal aborts, before, while it waits and between slices', async () => {
    const aborted = await collect(store().subscribe(0n, { signal: AbortSignal.abort() }));
    assert.equal(aborted, []);
    const stop = new AbortController();
    const waiting = collect(store().subscribe(await store().head(), { signal: stop.signal }));
    await delay(50);
    stop.abort();
    assert.equal(await waiting, [{ events: [], caughtUp: true }]);
    const between = new AbortController();
    let slices = 0;
    for await (const _slice of store().subscribe(0n, { signal: between.signal })) {
      slices += 1;
      between.abort();
    }
    assert.is(slices, 1);
  });
}
