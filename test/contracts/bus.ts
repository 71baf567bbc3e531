/** What every adapter of the Bus port answers. */
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { Bus } from '../../domain/ports.ts';
import { suite, type Suite } from '../harness.ts';
import { processes } from './busProcesses.ts';
import { consumer, delta, reader, until, wakeUp } from './busUsers.ts';

/**
 * Registers and runs the suite; `make` gives a bus on which nothing has happened, and the same one as another process has
 * it (itself where there is only one process).
 */
export function busContract(name: string, make: () => Promise<{ bus: Bus; other: Bus; stop(): Promise<void> }>): void {
  const test = suite(`bus: ${name}`);
  let made: Awaited<ReturnType<typeof make>>;
  test.before.each(async () => void (made = await make()));
  test.after.each(async () => await made.stop());
  const bus = (): Bus => made.bus;
  wakeUps(test, bus);
  deltas(test, bus);
  leaving(test, bus);
  processes(test, bus, () => made.other);
  test.run();
}

function wakeUps(test: Suite, bus: () => Bus): void {
  test('each wake-up goes to one of those who wait, and both get their share', async () => {
    const consumers = [consumer(bus()), consumer(bus())];
    await delay(10);
    const sent = Array.from({ length: 40 }, () => wakeUp());
    for (const each of sent) {
      await bus().wake(each);
      await delay(1);
    }
    await until(() => consumers.reduce((sum, { got }) => sum + got.length, 0) >= sent.length);
    const all = consumers.flatMap(({ got }) => got);
    assert.equal(all.map(({ turnId }) => turnId).sort(), sent.map(({ turnId }) => turnId).sort());
    assert.ok(consumers.every(({ got }) => got.length > 0));
    await Promise.all(consumers.map((each) => each.stop()));
  });

  test('a wake-up nobody waits for is kept as it was, the oldest first', async () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const sent = [wakeUp(), wakeUp({ project: 'other', revision: 7 }), wakeUp({ traceparent })];
    for (const each of sent) await bus().wake(each);
    const late = consumer(bus());
    await until(() => late.got.length === 3);
    assert.equal(late.got, sent);
    await late.stop();
  });

  test(
    'what is kept has a bound: a flood loses its oldest, keeps its newest, and refuses nothing',
    async () => {
      const sent = Array.from({ length: 30_000 }, (_, i) => wakeUp({ discussionId: 'd', turnId: `t${i}` }));
      for (const each of sent) await bus().wake(each);
      const late = consumer(bus());
      await until(() => late.got.at(-1)?.turnId === 't29999', 25_000);
      assert.ok(late.got.length < sent.length, `${late.got.length} kept`);
      assert.ok(late.got.length >= 1_000);
      await late.stop();
    },
    { deadlineMs: 40_000 },
  );
}

function deltas(test: Suite, bus: () => Bus): void {
  test('a late reader gets a running attempt from its start, then what comes, in order', async () => {
    for (const offset of [0, 1, 2]) bus().publish(delta({ offset }));
    const late = reader(bus(), { project: 'default', discussionId: 'd' });
    await until(() => late.got.length === 3);
    for (const offset of [3, 4]) bus().publish(delta({ offset }));
    await until(() => late.got.length === 5);
    assert.equal(
      late.got,
      [0, 1, 2, 3, 4].map((offset) => delta({ offset })),
    );
    await late.stop();
  });

  test('a new attempt takes the place of the one before, also while that one still writes', async () => {
    bus().publish(delta({ text: 'old' }));
    bus().publish(delta({ attempt: 2, text: 'new' }));
    bus().publish(delta({ attempt: 1, offset: 3, text: 'late' }));
    bus().publish(delta({ attempt: 2, offset: 3, text: 'er' }));
    const late = reader(bus(), { project: '*' });
    await until(() => late.got.length === 2);
    await delay(10);
    assert.equal(
      late.got.map(({ text }) => text),
      ['new', 'er'],
    );
    await late.stop();
  });

  test('everybody gets what they want and nothing else', async () => {
    const wants = [{ project: 'a' }, { project: 'a', discussionId: 'd1' }, { project: 'b' }, { project: '*' }];
    const readers = wants.map((each) => reader(bus(), each));
    await delay(10);
    bus().publish(delta({ project: 'a', discussionId: 'd1', turnId: 't1', text: '1' }));
    bus().publish(delta({ project: 'a', discussionId: 'd2', turnId: 't2', text: '2' }));
    bus().publish(delta({ project: 'b', discussionId: 'd3', turnId: 't3', text: '3' }));
    await until(() => readers[3]?.got.length === 3);
    await delay(20);
    assert.equal(
      readers.map(({ got }) => got.map(({ text }) => text).join('')),
      ['12', '1', '3', '123'],
    );
    await Promise.all(readers.map((each) => each.stop()));
  });

  test('an ended turn is forgotten, other turns are not', async () => {
    bus().publish(delta({ turnId: 'over' }));
    bus().publish(delta({ turnId: 'running', text: 'y' }));
    bus().endTurn('over');
    bus().endTurn('never heard of');
    const late = reader(bus(), { project: 'default' });
    await until(() => late.got.length === 1);
    await delay(10);
    assert.equal(
      late.got.map(({ turnId }) => turnId),
      ['running'],
    );
    await late.stop();
  });

  test(
    'a slow reader loses deltas and holds nobody back; what it does get is in order',
    async () => {
      const stop = new AbortController();
      const slow = bus().deltas({ project: '*' }, { signal: stop.signal })[Symbol.asyncIterator]();
      bus().publish(delta());
      await slow.next();
      const fast = reader(bus(), { project: '*' });
      await delay(10);
      const count = 20_000;
      const started = performance.now();
      for (let offset = 1; offset <= count; offset += 1) {
        bus().publish(delta({ offset }));
        if (offset % 500 === 0) await delay(0);
      }
      assert.ok(performance.now() - started < 8_000, 'publishing never waits');
      await until(() => fast.got.at(-1)?.offset === count);
      assert.is(fast.got.length, count + 1, 'a reader that keeps up loses nothing');
      const offsets: number[] = [];
      while (offsets.at(-1) !== count) {
        const next = await slow.next();
        if (next.done === true) throw new Error('the deltas ended');
        offsets.push(next.value.offset);
      }
      assert.ok(offsets.length < count, `the slow one got ${offsets.length}`);
      assert.ok(offsets.every((offset, i) => i === 0 || offset > (offsets[i - 1] ?? 0)));
      stop.abort();
      await fast.stop();
    },
    { deadlineMs: 20_000 },
  );
}

function leaving(test: Suite, bus: () => Bus): void {
  test('an aborted signal ends both iterables quietly, also one that had aborted before', async () => {
    const stop = new AbortController();
    const taking = bus().wakeUps({ signal: stop.signal })[Symbol.asyncIterator]();
    const reading = bus().deltas({ project: '*' }, { signal: stop.signal })[Symbol.asyncIterator]();
    const pending = [taking.next(), reading.next()];
    await delay(5);
    stop.abort();
    for (const each of await Promise.all(pending)) assert.is(each.done, true);
    for await (const each of bus().wakeUps({ signal: stop.signal })) throw new Error(`woken: ${each.wakeUp.turnId}`);
    for await (const each of bus().deltas({ project: '*' }, { signal: stop.signal })) throw new Error(each.text);
  });

  test('a consumer that has left or was stopped takes no wake-up with it', async () => {
    const stop = new AbortController();
    const stopped = bus().wakeUps({ signal: stop.signal })[Symbol.asyncIterator]();
    const left = bus().wakeUps({ signal: new AbortController().signal })[Symbol.asyncIterator]();
    const pending = [stopped.next(), left.next()];
    await delay(5);
    stop.abort();
    await left.return?.();
    assert.equal(
      (await Promise.all(pending)).map(({ done }) => done),
      [true, true],
    );
    const broken = consumer(bus());
    await bus().wake(wakeUp());
    await until(() => broken.got.length === 1);
    await broken.stop();
    const sent = wakeUp();
    await bus().wake(sent);
    for await (const each of bus().wakeUps({ signal: AbortSignal.timeout(3_000) })) {
      assert.equal(each.wakeUp, sent);
      break;
    }
  });

  test('a reader that leaves while it waits is gone, and the others go on', async () => {
    const left = bus().deltas({ project: '*' }, { signal: new AbortController().signal })[Symbol.asyncIterator]();
    const other = reader(bus(), { project: '*' });
    const pending = left.next();
    await delay(5);
    await left.return?.();
    assert.is((await pending).done, true);
    bus().publish(delta());
    await until(() => other.got.length === 1);
    assert.is((await left.next()).done, true);
    await other.stop();
  });
}
