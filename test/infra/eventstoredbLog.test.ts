/** What stands in EventStoreDB, byte for byte, and what a process finds there when it starts. On the stand-in. */
import { EventStoreDBClient, type RecordedEvent } from '@eventstore/db-client';
import * as assert from 'uvu/assert';
import { canonicalJson, type Codec, type StoredEvent } from '../../domain/codec.ts';
import { NO_STREAM } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import { appendFailure, readFailure } from '../../infra/eventstoredbFault.ts';
import { toEventData } from '../../infra/eventstoredbRows.ts';
import { rejected } from '../contracts/eventStore.ts';
import { aMessage, aStream, collect, messages, plainCodec } from '../contracts/sampleEvents.ts';
import { suite } from '../harness.ts';
import { type StandinLog, standinLog } from './eventstoredbStores.ts';

const test = suite('EventStoreDB log');
let log: StandinLog;
let client: EventStoreDBClient;

test.before(async () => {
  log = await standinLog();
  client = EventStoreDBClient.connectionString(log.server.url);
});
test.after(async () => {
  await client.dispose();
  await log.stop();
});

async function stored(stream: string): Promise<RecordedEvent[]> {
  const events = await collect(client.readStream(stream));
  return events.flatMap(({ event }) => (event === undefined ? [] : [event]));
}

test('an event is JSON on the server, its version behind its type, its metadata as the codec made them', async () => {
  const stream = aStream();
  const event = aMessage('é "quoted" \\ 1e21 \u2028 👩‍👧');
  await log.store.append(stream, [event], NO_STREAM);
  const [there] = await stored(stream);
  assert.equal([there?.type, there?.isJson, there?.id], ['MessagePosted@1', true, event.id]);
  assert.equal([there?.data, there?.metadata], [event.data, event.metadata]);
  const [encoded] = await plainCodec.encode(stream, [event]);
  if (encoded === undefined) throw new Error('nothing was encoded');
  const sent = toEventData(encoded);
  assert.is(JSON.stringify(sent.data), canonicalJson(event.data));
  assert.ok(sent.metadata instanceof Uint8Array);
  assert.is(Buffer.from(sent.metadata).toString(), canonicalJson(event.metadata));
});

test('keys that the client would put in another order keep their bytes, and versions survive', async () => {
  const texts = ['{"10":1,"9":2,"a":{"2":0,"b":[]}}', '{"b":1e+21,"é":"\\u0001"}'];
  const metadata = canonicalJson(aMessage().metadata);
  const made = texts.map((data, i): StoredEvent => ({
    ...{ id: aMessage().id, type: 'NotKnownHere', schemaVersion: 7 + i, data, metadata },
  }));
  const seen: StoredEvent[] = [];
  const codec: Codec = {
    encode: () => Promise.resolve(made),
    decode: (rows) => {
      seen.push(
        ...rows.map(({ id, type, schemaVersion, data, metadata: text }) => ({
          id,
          type,
          schemaVersion,
          data,
          metadata: text,
        })),
      );
      return plainCodec.decode(rows);
    },
    decodeParsed: (rows) => plainCodec.decodeParsed(rows),
  };
  const store = log.another({ codec });
  const stream = aStream();
  await store.append(stream, messages(2), NO_STREAM);
  const events = await collect(store.read(stream));
  assert.equal(seen, made);
  assert.equal(
    events.map(({ schemaVersion }) => schemaVersion),
    [7, 8],
  );
  const [first, second] = await stored(stream);
  assert.equal([first?.isJson, second?.isJson], [false, true]);
  assert.is(first?.data instanceof Uint8Array ? Buffer.from(first.data).toString() : '', texts[0]);
});

test('a repeated append whose events were truncated since still answers a position', async () => {
  const stream = aStream();
  const batch = messages(2);
  await log.store.append(stream, batch, NO_STREAM);
  const after = await log.store.append(stream, messages(1), 1);
  await client.setStreamMetadata(stream, { truncateBefore: 2 });
  assert.equal(await log.store.append(stream, batch, NO_STREAM), { revision: 1, position: after.position });
});

test('a tombstoned stream is refused for good', async () => {
  const stream = aStream();
  await log.store.append(stream, messages(1), NO_STREAM);
  await client.tombstoneStream(stream);
  for (const call of [() => log.store.append(stream, messages(1), 0), () => collect(log.store.read(stream))]) {
    const error = await rejected(call(), Refusal);
    assert.equal([error.code, error.retryable], ['internal', false]);
  }
});

test('many processes that start at once find one lineage', async () => {
  const fresh = await standinLog();
  const lineages = await Promise.all(Array.from({ length: 5 }, () => fresh.another().lineage()));
  assert.is(new Set(lineages).size, 1);
  assert.is(await fresh.store.head(), 0n);
  await fresh.stop();
});

test('a start checks that the server answers, is not too old and lets us read', async () => {
  const { version } = await log.store.check();
  assert.ok(version === null || /^\d+\.\d+/.test(version));
  const nowhere = log.another({ url: 'esdb://127.0.0.1:1?tls=false' });
  const error = await rejected(nowhere.check(), Refusal);
  assert.equal([error.code, error.message], ['unavailable', 'EventStoreDB cannot be reached']);
});

test('denied access is not tried again, and says what an administrator does', () => {
  const denied = Object.assign(new Error('7 PERMISSION_DENIED: Access Denied'), { type: 'access-denied' });
  for (const error of [readFailure(denied), appendFailure(denied, 'discussion-1', 0)]) {
    assert.instance(error, Refusal);
    assert.match(error.message, /readRoles: \['\$admins', 'colloquy'\]/);
    assert.is(error instanceof Refusal && error.retryable, false);
  }
});

test.run();
