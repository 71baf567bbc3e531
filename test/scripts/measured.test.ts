/** What operators are promised to see of log, pools and read models. */
import * as assert from 'uvu/assert';
import { NO_STREAM, type EventStore } from '../../domain/ports.ts';
import { Refusal, UnknownOutcome } from '../../domain/refusal.ts';
import { createPrometheus } from '../../infra/prometheus.ts';
import { readModels } from '../../projections/readModels.ts';
import { sampleLag, samplePool } from '../../scripts/measured.ts';
import { measureAppends, measureSubscriptions } from '../../scripts/measuredLog.ts';
import { aMessage, aStream, follow, messages } from '../contracts/sampleEvents.ts';
import { suite } from '../harness.ts';
import { realLog, type TestLog } from '../infra/postgresStores.ts';
import { applyAll } from '../projections/readModelDatabase.ts';
import { appendAll, history } from '../projections/events.ts';
import { createMemoryEventStore } from '../standins/memoryEventStore.ts';
import { wallClock } from '../standins/wallClock.ts';

const test = suite('measurements');
let log: TestLog;
test.before(async () => void (log = await realLog()));
test.after(() => log.stop());

/** The value of a line of the text format. */
async function valueOf({ registry }: ReturnType<typeof createPrometheus>, line: string): Promise<number> {
  const found = (await registry.metrics()).split('\n').find((each) => each.startsWith(`${line} `));
  return found === undefined ? NaN : Number(found.slice(line.length + 1));
}

test('appends are timed by outcome, whichever it is', async () => {
  const prometheus = createPrometheus();
  const append: EventStore['append'] = async (stream, events, expected) => {
    if (expected === 7) throw new UnknownOutcome('no answer', null);
    if (expected === 8) throw new Refusal('unavailable', 'away');
    return await log.store.append(stream, events, expected);
  };
  const store = measureAppends({ ...log.store, append }, prometheus.telemetry, wallClock);
  const stream = aStream();
  assert.is((await store.append(stream, messages(2), NO_STREAM)).revision, 1);
  const failing = [5, 7, 8].map((expected) => store.append(stream, messages(1), expected));
  assert.ok((await Promise.allSettled(failing)).every(({ status }) => status === 'rejected'));
  for (const outcome of ['ok', 'conflict', 'unknown', 'refused'])
    assert.is(await valueOf(prometheus, `eventlog_append_duration_seconds_count{outcome="${outcome}"}`), 1, outcome);
  assert.is((await follow(store, 0n, (events) => events.length === 2)).events.length, 2, 'the rest is as it was');
});

test('a subscription tells how old its events are, and is left as before', async () => {
  const prometheus = createPrometheus();
  const store = measureSubscriptions(log.store, 'feed', prometheus.telemetry, wallClock);
  const fresh = aMessage();
  const metadata = { ...fresh.metadata, occurredAt: new Date(Date.now() - 60_000).toISOString() };
  const after = await log.store.head();
  await log.store.append(aStream(), [{ ...fresh, metadata }], NO_STREAM);
  await follow(store, after, (events) => events.length === 1);
  const age = await valueOf(prometheus, 'subscription_last_event_age_seconds{subscription="feed"}');
  assert.ok(age >= 60 && age < 90, `${age}`);
  assert.is(log.store.stats().subscriptions, 0, 'released when left early');
  const leaving = store.subscribe(await log.store.head(), { signal: new AbortController().signal });
  const iterator = leaving[Symbol.asyncIterator]();
  await iterator.next();
  const waiting = iterator.next();
  await iterator.return?.();
  assert.ok((await waiting).done, 'left while it waits');
});

test('pools and the lag of read models are read when asked for, and a failing sample is left out', async () => {
  const prometheus = createPrometheus();
  samplePool(prometheus, 'primary', log.database);
  const held = await log.database.pool.connect();
  assert.is(await valueOf(prometheus, 'db_pool_connections{database="primary",state="active"}'), 1);
  held.release();
  assert.is(await valueOf(prometheus, 'db_pool_connections{database="primary",state="active"}'), 0);
  assert.is(await valueOf(prometheus, 'db_pool_waiting{database="primary"}'), 0);

  const store = createMemoryEventStore({ gap: 10n });
  const { knex } = log.database;
  const all = history({ seed: 60, discussions: 2, batches: 20 });
  await appendAll(store, all.slice(0, 10));
  await applyAll({ knex, store, projections: readModels });
  const options = { knex, store, clock: wallClock, projections: readModels };
  sampleLag(prometheus, { ...options, gapless: false });
  assert.is(await valueOf(prometheus, 'projection_lag_seconds{projection="turns"}'), 0);
  await appendAll(store, all.slice(10));
  assert.ok((await valueOf(prometheus, 'projection_lag_seconds{projection="turns"}')) > 0);
  assert.ok(
    Number.isNaN(await valueOf(prometheus, 'projection_lag_events{projection="turns"}')),
    'positions have gaps',
  );
  prometheus.sample('db_pool_waiting', () => Promise.reject(new Error('away')));
  assert.is(await valueOf(prometheus, 'db_pool_waiting{database="primary"}'), 0);
});

test.run();
