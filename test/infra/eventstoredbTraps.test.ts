/** The client's traps, by their numbers: each would show here if the adapter fell into it. On the stand-in. */
import * as assert from 'uvu/assert';
import { NO_STREAM } from '../../domain/ports.ts';
import { Refusal, UnknownOutcome, WrongExpectedRevision } from '../../domain/refusal.ts';
import { createEventStoreDb } from '../../infra/eventstoredb.ts';
import { readUrl } from '../../infra/eventstoredbConnection.ts';
import { rejected } from '../contracts/eventStore.ts';
import { aStream, collect, follow, messages, plainCodec } from '../contracts/sampleEvents.ts';
import { suite } from '../harness.ts';
import { startEventStoreStandin } from '../standins/eventstoredb.ts';
import { type StandinLog, standinLog, systemSleep } from './eventstoredbStores.ts';

const test = suite('traps of the EventStoreDB client');
const SLOW = { deadlineMs: 60_000 };
/** Far below what the client waits by itself: 10 s and more. */
const HASTY = { appendMs: 700, quietMs: 700, watchMs: 300 };
let log: StandinLog;

test.before(async () => void (log = await standinLog()));
test.after(async () => await log.stop());
test.before.each(async () => await log.server.faults.clear());

test('E1: a failed append throws with the actual revision, also when the URL asks the client not to throw', async () => {
  const store = log.another({ url: `${log.server.url}&throwOnAppendFailure=false` });
  const stream = aStream();
  await store.append(stream, messages(3), NO_STREAM);
  const error = await rejected(store.append(stream, messages(1), 0), WrongExpectedRevision);
  assert.is(error.actual, 2);
});

test(
  'E2: an append that is never answered is unknown after our own time, and can be repeated',
  async () => {
    const store = log.another({ deadlines: HASTY });
    const [stream, batch] = [aStream(), messages(2)];
    await store.append(aStream(), messages(1), NO_STREAM);
    await log.server.faults.set('mute');
    await rejected(store.append(stream, batch, NO_STREAM), UnknownOutcome);
    await log.server.faults.clear();
    assert.is((await store.append(stream, batch, NO_STREAM)).revision, 1);
  },
  SLOW,
);

test('E3 E4 E6: no append ever goes through a batch stream', async () => {
  await log.server.faults.set('halfClose');
  const results = await Promise.all(
    Array.from({ length: 20 }, () => log.store.append(aStream(), messages(2), NO_STREAM)),
  );
  assert.ok(results.every(({ revision }) => revision === 1));
  assert.is(log.server.stats.calls.batchAppend ?? 0, 0);
  assert.ok((log.server.stats.calls.append ?? 0) >= 20);
});

test('E5: the keep-alive is a second, unless the URL sets it', () => {
  assert.is(readUrl('esdb://h:1?tls=false').url, 'esdb://h:1?tls=false&keepAliveInterval=1000&keepAliveTimeout=1000');
  const set = readUrl('esdb://h:1/?tls=false&keepAliveInterval=5000').url;
  assert.is(set, 'esdb://h:1?tls=false&keepAliveInterval=5000&keepAliveTimeout=1000');
  assert.match(readUrl('esdb+discover://a,b:2,c?tls=false').url, /^esdb\+discover:\/\/a,b:2,c\?tls=false&keep/);
});

test(
  'E9: the first call of all to a mute server ends in time',
  async () => {
    const server = await startEventStoreStandin();
    await server.faults.set('mute');
    const store = createEventStoreDb({
      ...{ url: server.url, codec: plainCodec, clock: systemSleep, onError: () => undefined, deadlines: HASTY },
    });
    await rejected(store.append(aStream(), messages(1), NO_STREAM), UnknownOutcome);
    assert.is((await rejected(store.check(), Refusal)).retryable, true);
    await store.close();
    await server.stop();
  },
  SLOW,
);

test(
  'E10: nobody there refuses at once, not ready is unknown, and both heal',
  async () => {
    const store = log.another({ url: `${log.server.url}&connectionName=e10` });
    const [stream, batch] = [aStream(), messages(1)];
    await log.server.faults.set('stopped');
    const down = await rejected(store.append(stream, batch, NO_STREAM), Refusal);
    assert.equal([down.code, down.retryable], ['unavailable', true]);
    assert.match(down.message, /cannot be reached/);
    await log.server.faults.set('notReady');
    const starting = await store.append(stream, batch, NO_STREAM).catch((error: unknown) => error);
    assert.ok(starting instanceof UnknownOutcome || (starting instanceof Refusal && starting.retryable));
    await log.server.faults.clear();
    await until(() => store.append(stream, batch, NO_STREAM));
    assert.is((await collect(store.read(stream))).length, 1);
  },
  SLOW,
);

test('E11: a missing stream is at revision -1', async () => {
  const error = await rejected(log.store.append(aStream(), messages(1), 4), WrongExpectedRevision);
  assert.equal([error.expected, error.actual], [4, NO_STREAM]);
});

test('E12: with TLS a user is needed, and its name and password go with every call', () => {
  const error = assertThrows(() => readUrl('esdb://host:2113'));
  assert.is(error.code, 'invalid');
  const { url, credentials } = readUrl('esdb://ada:p%40ss@host:2113?tlsCAFile=/ca');
  assert.equal(credentials, { username: 'ada', password: 'p@ss' });
  assert.is(url.includes('ada'), false);
  const wrong = assertThrows(() => createEventStoreDb({ url: 'esdb://u:secret@h:x', ...silent }));
  assert.is(wrong.message.includes('secret'), false);
});

test(
  'E13: 130 reads and subscriptions left early hold no call, and close does not wait for ever',
  async () => {
    const store = log.another({ url: `${log.server.url}&connectionName=e13` });
    const stream = aStream();
    await store.append(stream, messages(40), NO_STREAM);
    for (let i = 0; i < 130; i += 1) {
      for await (const event of store.read(stream)) if (event.revision === 0) break;
      for await (const event of store.readAll(0n, { limit: 3 })) if (event.position > 0n) break;
    }
    await Promise.all(Array.from({ length: 130 }, () => follow(store, 0n, () => true)));
    await until(() => assert.ok(log.server.stats.openCalls <= 1, `${log.server.stats.openCalls} calls are open`));
    assert.is((await store.append(stream, messages(1), 39)).revision, 40);
    await store.close();
  },
  SLOW,
);

test(
  'E14: a read from a mute server ends in our own time, and holds no call',
  async () => {
    const store = log.another({ deadlines: HASTY });
    await log.server.faults.set('mute');
    for (const read of [collect(store.read(aStream())), collect(store.readAll(0n)), store.head()]) {
      const error = await rejected(read, Refusal);
      assert.equal([error.code, error.retryable], ['unavailable', true]);
    }
    await log.server.faults.clear();
    await until(() => assert.ok(log.server.stats.openCalls <= 1, `${log.server.stats.openCalls} calls are open`));
  },
  SLOW,
);

test(
  'E15: every error has words of our own, and no secret',
  async () => {
    const store = log.another({ deadlines: HASTY, credentials: { username: 'ada', password: 'hush-hush' } });
    for (const fault of ['mute', 'notReady', 'stopped', 'resetAfterCommit'] as const) {
      await log.server.faults.set(fault);
      const error = await rejected(store.append(aStream(), messages(1), NO_STREAM), Error);
      assert.match(error.message, /^EventStoreDB/, fault);
      assert.is(error.message.includes('hush'), false);
    }
  },
  SLOW,
);

test(
  'an append whose answer was lost is unknown, and its repetition gets the first outcome',
  async () => {
    const [stream, batch] = [aStream(), messages(2)];
    await log.server.faults.set('resetAfterCommit', { times: 1 });
    await rejected(log.store.append(stream, batch, NO_STREAM), UnknownOutcome);
    const outcome = await until(() => log.store.append(stream, batch, NO_STREAM));
    const stored = await collect(log.store.read(stream));
    assert.is(stored.length, 2);
    assert.equal(outcome, { revision: 1, position: stored[1]?.position });
  },
  SLOW,
);

test(
  'a follower names its leader, and the call goes there',
  async () => {
    const leader = await standinLog();
    const store = log.another({ url: `${log.server.url}&connectionName=leader` });
    await log.server.faults.set('notLeader', { leader: { host: '127.0.0.1', port: leader.server.port } });
    const stream = aStream();
    await until(() => store.append(stream, messages(1), NO_STREAM));
    assert.is((await collect(leader.store.read(stream))).length, 1);
    await leader.stop();
  },
  SLOW,
);

const silent = { codec: plainCodec, clock: systemSleep, onError: () => undefined };

function assertThrows(work: () => unknown): Refusal {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error('it did not throw');
}

/** Tries until it succeeds; the test's deadline ends it. */
async function until<T>(work: () => T | Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      await systemSleep.sleep(20);
    }
  }
}

test.run();
