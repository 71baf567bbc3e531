/** What every adapter of the EventStore port gives back. */
import * as assert from 'uvu/assert';
import { canonicalJson } from '../../domain/codec.ts';
import { NO_STREAM, type EventStore } from '../../domain/ports.ts';
import type { Suite } from '../harness.ts';
import { aConclusion, aMessage, aStream, collect, messages } from './sampleEvents.ts';

/** Adds the part of the suite that is about `read`, `readAll` and `lineage`. */
export function eventStoreReading(test: Suite, store: () => EventStore): void {
  reading(test, store);
  readingAll(test, store);
}

function reading(test: Suite, store: () => EventStore): void {
  test('gives back what was written, unicode and all', async () => {
    const stream = aStream();
    const event = aMessage('Grüße 👩‍👩‍👧‍👦 \\ " \n\t {a,b} \u2028 日本語 \u001f');
    const { position } = await store().append(stream, [event], NO_STREAM);
    const [read] = await collect(store().read(stream));
    assert.equal(read, { ...event, stream, revision: 0, position });
  });

  test('reads forwards and backwards, from anywhere, limited', async () => {
    const stream = aStream();
    await store().append(stream, messages(5), NO_STREAM);
    const revisions = async (options: Parameters<EventStore['read']>[1]): Promise<number[]> =>
      (await collect(store().read(stream, options))).map(({ revision }) => revision);
    assert.equal(await revisions({}), [0, 1, 2, 3, 4]);
    assert.equal(await revisions({ from: 3 }), [3, 4]);
    assert.equal(await revisions({ from: 1, limit: 2 }), [1, 2]);
    assert.equal(await revisions({ from: 5 }), []);
    assert.equal(await revisions({ limit: 0 }), []);
    assert.equal(await revisions({ backwards: true }), [4, 3, 2, 1, 0]);
    assert.equal(await revisions({ backwards: true, from: 2 }), [2, 1, 0]);
    assert.equal(await revisions({ backwards: true, limit: 1 }), [4]);
    assert.equal(await collect(store().read(aStream())), []);
    assert.equal(await collect(store().read(aStream(), { backwards: true })), []);
  });
}

function readingAll(test: Suite, store: () => EventStore): void {
  test('readAll is in order, exclusive of its start, limited, and goes over many pages', async () => {
    const before = await store().head();
    const [a, b] = [aStream(), aStream()];
    for (let i = 0; i < 12; i += 1) {
      await store().append(a, messages(100), i * 100 - 1);
      await store().append(b, messages(1), i - 1);
    }
    const all = await collect(store().readAll(before));
    assert.is(all.length, 1212);
    assert.ok(all.every(({ position }, i) => position > (all[i - 1]?.position ?? before)));
    const middle = all[600]?.position ?? 0n;
    assert.is((await collect(store().readAll(middle)))[0]?.position, all[601]?.position);
    assert.is((await collect(store().readAll(before, { limit: 7 }))).length, 7);
    assert.equal(await collect(store().readAll(await store().head())), []);
    assert.equal(
      (await collect(store().read(a))).map(({ revision }) => revision),
      Array.from({ length: 1200 }, (_, i) => i),
    );
  });

  test('readStored gives the exact texts, in order, exclusive of its start, of the log or of one stream', async () => {
    const before = await store().head();
    const [a, b] = [aStream(), aStream()];
    const texts = ['Grüße 👩‍👩‍👧‍👦 \\ " \n\t {a,b} \u2028 日本語 \u001f', 'second', 'third'].map((text) => aMessage(text));
    await store().append(a, texts, NO_STREAM);
    await store().append(b, messages(1), NO_STREAM);
    await store().append(a, messages(1), 2);
    const all = await collect(store().readStored(before));
    assert.equal(
      all.map(({ stream, revision }) => [stream, revision]),
      [...texts.map((_, i) => [a, i]), [b, 0], [a, 3]],
    );
    for (const [i, { data, metadata, id, type, schemaVersion }] of texts.entries()) {
      const { position = 0n, ...stored } = all[i] ?? {};
      const exact = { data: canonicalJson(data), metadata: canonicalJson(metadata) };
      assert.equal(stored, { stream: a, revision: i, id, type, schemaVersion, ...exact });
      assert.ok(position > (all[i - 1]?.position ?? before));
    }
    const middle = all[2]?.position ?? 0n;
    assert.equal(await collect(store().readStored(middle)), all.slice(3));
    assert.equal(await collect(store().readStored(middle, { limit: 1 })), all.slice(3, 4));
    const ofA = all.filter(({ stream }) => stream === a);
    assert.equal(await collect(store().readStored(0n, { stream: a })), ofA);
    assert.equal(await collect(store().readStored(all[0]?.position ?? 0n, { stream: a, limit: 2 })), ofA.slice(1, 3));
    assert.equal(await collect(store().readStored(0n, { stream: aStream() })), []);
  });

  test('readAll leaves events of other types out, and stops at its limit', async () => {
    const before = await store().head();
    const [a, b] = [aStream(), aStream()];
    await store().append(a, [...messages(1), aConclusion(), ...messages(1)], NO_STREAM);
    await store().append(b, [aConclusion()], NO_STREAM);
    await store().append(b, messages(2), 0);
    const all = await collect(store().readAll(before));
    const posted = all.filter(({ type }) => type === 'MessagePosted');
    const types = ['MessagePosted'];
    assert.is(posted.length, 4);
    assert.equal(await collect(store().readAll(before, { types })), posted);
    assert.equal(await collect(store().readAll(before, { types, limit: 3 })), posted.slice(0, 3));
    assert.equal(await collect(store().readAll(posted[1]?.position ?? 0n, { types })), posted.slice(2));
    assert.equal(await collect(store().readAll(before, { types: [...types, 'DiscussionConcluded'] })), all);
    // The beginning of a type's name is no type.
    assert.equal(await collect(store().readAll(before, { types: ['Message'] })), []);
  });

  test('the lineage is a UUID that stays', async () => {
    const lineage = await store().lineage();
    assert.match(lineage, /^[0-9a-f]{8}-[0-9a-f-]{27}$/);
    assert.is(await store().lineage(), lineage);
  });
}
