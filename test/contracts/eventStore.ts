/** What every adapter of the EventStore port answers. */
import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import { NO_STREAM, type EventStore } from '../../domain/ports.ts';
import { Refusal, WrongExpectedRevision } from '../../domain/refusal.ts';
import { type Suite, suite } from '../harness.ts';
import { eventStoreReading } from './eventStoreReading.ts';
import { eventStoreSubscriptions } from './eventStoreSubscriptions.ts';
import { aMessage, aStream, collect, messages } from './sampleEvents.ts';

export interface EventStoreUnderTest {
  readonly store: EventStore;
  stop(): Promise<void>;
}

/** What an adapter cannot be asked for, with the reason. */
export type Without = Partial<Record<'idsElsewhere', string>>;

/** Registers and runs the suite, `without` what is left out; `make` gives a store on an empty log. */
export function eventStoreContract(
  name: string,
  make: () => Promise<EventStoreUnderTest>,
  without: Without = {},
): void {
  const test = suite(name);
  let made: EventStoreUnderTest | undefined;
  const store = (): EventStore => {
    if (made === undefined) throw new Error('the store was not made');
    return made.store;
  };
  test.before(async () => void (made = await make()));
  test.after(async () => await made?.stop());
  appending(test, store);
  repeating(test, store);
  if (without.idsElsewhere === undefined) idsElsewhere(test, store);
  else console.log(`left out: ids stored elsewhere, of the contract of ${name}: ${without.idsElsewhere}`);
  bounds(test, store);
  eventStoreReading(test, store);
  eventStoreSubscriptions(test, store);
  test.run();
}

/** Rejects with an error of the class, which is returned. */
export async function rejected<E extends Error>(
  promise: Promise<unknown>,
  kind: new (...args: never[]) => E,
): Promise<E> {
  const error = await promise.then(
    () => new Error('it did not reject'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof kind) return error;
  throw error instanceof Error ? error : new Error(String(error));
}

function appending(test: Suite, store: () => EventStore): void {
  test('appends at exactly the revision and answers the last revision and position', async () => {
    const stream = aStream();
    const first = await store().append(stream, messages(2), NO_STREAM);
    const second = await store().append(stream, messages(1), 1);
    assert.is(first.revision, 1);
    assert.is(second.revision, 2);
    assert.ok(second.position > first.position);
    assert.is(await store().head(), second.position);
  });

  test('C3: another batch at an old revision is refused with the actual one', async () => {
    const stream = aStream();
    await store().append(stream, messages(3), NO_STREAM);
    for (const expected of [NO_STREAM, 0, 1]) {
      const error = await rejected(store().append(stream, messages(1), expected), WrongExpectedRevision);
      assert.is(error.expected, expected);
      assert.is(error.actual, 2);
    }
    assert.is((await collect(store().read(stream))).length, 3);
  });

  test('C5: a revision ahead of the stream is refused, also when there is no stream', async () => {
    const stream = aStream();
    const missing = await rejected(store().append(stream, messages(1), 0), WrongExpectedRevision);
    assert.is(missing.actual, NO_STREAM);
    await store().append(stream, messages(1), NO_STREAM);
    const ahead = await rejected(store().append(stream, messages(1), 5), WrongExpectedRevision);
    assert.is(ahead.actual, 0);
  });

  test('of appends at one revision at once exactly one is written', async () => {
    const stream = aStream();
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, () => store().append(stream, messages(1), NO_STREAM)),
    );
    assert.is(results.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const result of results)
      if (result.status === 'rejected') assert.instance(result.reason, WrongExpectedRevision);
    assert.is((await collect(store().read(stream))).length, 1);
  });

  test('appends to many streams at once all find their place', async () => {
    const streams = Array.from({ length: 40 }, aStream);
    const results = await Promise.all(
      streams.map((stream, i) => store().append(stream, messages(1 + (i % 3)), NO_STREAM)),
    );
    assert.is(new Set(results.map(({ position }) => position)).size, 40);
    for (const [i, result] of results.entries()) {
      const events = await collect(store().read(streams[i] ?? ''));
      assert.is(events.length, 1 + (i % 3));
      assert.is(events.at(-1)?.position, result.position);
    }
  });
}

function repeating(test: Suite, store: () => EventStore): void {
  test('C2: a repeated batch answers with the first outcome, whatever came after', async () => {
    const stream = aStream();
    await store().append(stream, messages(1), NO_STREAM);
    const batch = messages(3);
    const first = await store().append(stream, batch, 0);
    assert.equal(await store().append(stream, batch, 0), first);
    await store().append(stream, messages(2), 3);
    assert.equal(await store().append(stream, batch, 0), first);
    assert.is((await collect(store().read(stream))).length, 6);
  });

  test('C2: a prefix of what was written counts, and the payload is not compared', async () => {
    const stream = aStream();
    const batch = messages(3);
    await store().append(stream, batch, NO_STREAM);
    const stored = await collect(store().read(stream));
    const prefix = batch.slice(0, 2).map(({ id }) => aMessage('another text', id));
    assert.equal(await store().append(stream, prefix, NO_STREAM), { revision: 1, position: stored[1]?.position });
  });

  test('C3 C4: a first or a later id that differs, or a batch that is longer, is refused', async () => {
    const stream = aStream();
    const batch = messages(2);
    await store().append(stream, batch, NO_STREAM);
    const [first, second] = batch;
    if (!first || !second) throw new Error('no batch');
    for (const other of [[aMessage(), second], [first, aMessage()], [...batch, aMessage()], [second]])
      await rejected(store().append(stream, other, NO_STREAM), WrongExpectedRevision);
    assert.is((await collect(store().read(stream))).length, 2);
  });

  test('the same batch many times at once is written once', async () => {
    const stream = aStream();
    const batch = messages(2);
    const results = await Promise.all(Array.from({ length: 10 }, () => store().append(stream, batch, NO_STREAM)));
    assert.is(new Set(results.map(({ position }) => position)).size, 1);
    assert.is((await collect(store().read(stream))).length, 2);
  });
}

function idsElsewhere(test: Suite, store: () => EventStore): void {
  test('an id stored elsewhere is refused, and neighbours are not', async () => {
    const taken = aMessage();
    const stream = aStream();
    await store().append(stream, [taken], NO_STREAM);
    const before = await store().head();
    const fresh = Array.from({ length: 6 }, aStream);
    const [culprit, again, ...others] = await Promise.allSettled([
      store().append(aStream(), [aMessage(), aMessage('elsewhere', taken.id)], NO_STREAM),
      store().append(stream, [aMessage('same stream', taken.id)], 0),
      ...fresh.map((each) => store().append(each, messages(1), NO_STREAM)),
    ]);
    for (const result of [culprit, again]) {
      if (result.status === 'fulfilled') throw new Error('an id was stored twice');
      assert.instance(result.reason, WrongExpectedRevision);
    }
    assert.ok(others.every(({ status }) => status === 'fulfilled'));
    assert.is((await collect(store().readAll(before))).length, 6);
  });
}

function bounds(test: Suite, store: () => EventStore): void {
  const invalid = async (promise: Promise<unknown>): Promise<void> => {
    assert.is((await rejected(promise, Refusal)).code, 'invalid');
  };

  test('an empty batch, a doubled id, a bad name or revision are invalid', async () => {
    const one = aMessage();
    await invalid(store().append(aStream(), [], NO_STREAM));
    await invalid(store().append(aStream(), [one, aMessage('again', one.id)], NO_STREAM));
    await invalid(store().append(aStream(), [one, aMessage('again', one.id.toUpperCase())], NO_STREAM));
    await invalid(store().append(aStream(), [aMessage('no uuid', 'x')], NO_STREAM));
    for (const name of [
      '',
      'discussion',
      'discussion-',
      'Discussion-1',
      'discussion-a b',
      `discussion-${'x'.repeat(200)}`,
    ])
      await invalid(store().append(name, messages(1), NO_STREAM));
    for (const revision of [-2, 0.5, Number.NaN, 2 ** 60])
      await invalid(store().append(aStream(), messages(1), revision));
  });

  test('an append of more than its share of bytes is too large, one just below is not', async () => {
    const large = (parts: number): ReturnType<typeof aMessage> => {
      const event = aMessage();
      const content = Array.from({ length: parts }, () => ({ type: 'text', text: 'x'.repeat(100_000) }));
      return { ...event, data: { messageId: randomUUID(), author: { userId: 'u', name: 'Ada' }, content } };
    };
    const stream = aStream();
    assert.is((await rejected(store().append(stream, [large(10)], NO_STREAM), Refusal)).code, 'too-large');
    await store().append(stream, [large(9)], NO_STREAM);
    await store().append(stream, [large(9)], 0);
    assert.is((await collect(store().read(stream))).length, 2);
  });

  test('an event that fits no schema is refused, not written', async () => {
    const event = { ...aMessage(), data: { nothing: true } };
    assert.is((await rejected(store().append(aStream(), [event], NO_STREAM), Refusal)).code, 'internal');
  });
}
