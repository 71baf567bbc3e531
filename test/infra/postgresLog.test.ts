/** What only the Postgres log has: exact bytes, several processes on one database, connections that break. */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import * as assert from 'uvu/assert';
import { canonicalJson } from '../../domain/codec.ts';
import { NO_STREAM } from '../../domain/ports.ts';
import { Refusal, UnknownOutcome } from '../../domain/refusal.ts';
import { openDatabase } from '../../infra/database.ts';
import { migrate } from '../../infra/migrate.ts';
import { createPostgresEventStore } from '../../infra/postgresEventStore.ts';
import { rejected } from '../contracts/eventStore.ts';
import { aMessage, aStream, collect, follow, messages, plainCodec } from '../contracts/sampleEvents.ts';
import { suite } from '../harness.ts';
import { postgresForTests, type TestDatabase } from '../services.ts';
import { realLog, type TestLog } from './postgresStores.ts';

const test = suite('Postgres log');
const SLOW = { deadlineMs: 60_000 };
let log: TestLog;
let empty: TestDatabase;

test.before(async () => {
  log = await realLog();
  empty = await postgresForTests();
});
test.after(async () => {
  await log.stop();
  await empty.stop();
});

test('data and metadata stand in the table as canonical JSON, byte for byte', async () => {
  const stream = aStream();
  const event = aMessage('é "quoted" \\ 1e21 \u2028 👩‍👧');
  await log.store.append(stream, [event, aMessage()], NO_STREAM);
  const { rows } = await log.database.pool.query<{ data: string; metadata: string }>(
    'select data, metadata from events where stream = $1 and revision = 0',
    [stream],
  );
  assert.equal(rows, [{ data: canonicalJson(event.data), metadata: canonicalJson(event.metadata) }]);
});

test(
  'two processes on one database see each other, and positions have no gap',
  async () => {
    const other = await log.another();
    const head = await log.store.head();
    const reader = follow(log.store, head, (events) => events.length === 200);
    const otherReader = follow(other.store, head, (events) => events.length === 200);
    await Promise.all(
      Array.from({ length: 100 }, (_, i) => (i % 2 ? log : other).store.append(aStream(), messages(2), NO_STREAM)),
    );
    const { events } = await reader;
    assert.equal(
      events.map(({ position }) => position),
      Array.from({ length: 200 }, (_, i) => head + BigInt(i + 1)),
    );
    assert.equal((await otherReader).events, events);
    assert.is(await other.store.lineage(), await log.store.lineage());
  },
  SLOW,
);

test('a repetition after a lost reply answers what was written', async () => {
  let losing = true;
  const lossy = createPostgresEventStore({
    pool: losingReplies(log.database.pool, () => losing),
    codec: plainCodec,
    embedded: false,
  });
  const [stream, batch] = [aStream(), messages(2)];
  await rejected(lossy.append(stream, batch, NO_STREAM), UnknownOutcome);
  losing = false;
  const outcome = await lossy.append(stream, batch, NO_STREAM);
  const stored = await collect(log.store.read(stream));
  assert.is(stored.length, 2);
  assert.equal(outcome, { revision: 1, position: stored[1]?.position });
  await lossy.close();
});

test('nothing was written when there is no server', async () => {
  const connection = 'postgres://nobody@127.0.0.1:1/nothing';
  const database = openDatabase({ connection, poolMax: 1, embedded: false, applicationName: 'test' });
  const store = createPostgresEventStore({ pool: database.pool, codec: plainCodec, embedded: false });
  const error = await rejected(store.append(aStream(), messages(1), NO_STREAM), Refusal);
  assert.is(error.code, 'unavailable');
  assert.is((await rejected(store.head(), Refusal)).code, 'unavailable');
  await store.close();
  await database.close();
});

test('a live subscriber costs no statement', async () => {
  const head = await log.store.head();
  let caughtUp = false;
  const reader = follow(log.store, head, (events, slice) => {
    caughtUp ||= slice.caughtUp;
    return events.length === 50;
  });
  while (!caughtUp || !log.store.stats().listening) await delay(5);
  let statements = 0;
  const count = (): void => void (statements += 1);
  log.database.pool.on('acquire', count);
  for (let i = 0; i < 50; i += 1) await log.store.append(aStream(), messages(1), NO_STREAM);
  await reader;
  log.database.pool.off('acquire', count);
  // On a machine that stands still for a moment a notice may come before its commit's reply, and is then looked up.
  assert.ok(statements >= 50 && statements <= 53, `${statements} statements for 50 appends`);
});

test(
  'subscriptions outlive the loss of every connection, the listening one too',
  async () => {
    const other = await log.another();
    const head = await log.store.head();
    const reader = follow(other.store, head, (events) => events.length === 3);
    for (let i = 0; i < 3; i += 1) {
      while (!other.store.stats().listening) await delay(10);
      await log.database.pool.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid()`,
      );
      await log.store.append(aStream(), messages(1), NO_STREAM);
    }
    assert.equal(
      (await reader).events.map(({ position }) => position),
      [head + 1n, head + 2n, head + 3n],
    );
  },
  SLOW,
);

test('a store that was closed has ended its subscriptions and refuses appends', async () => {
  const { store } = await log.another();
  const reader = collect(store.subscribe(await store.head(), { signal: new AbortController().signal }));
  await delay(50);
  await store.close();
  assert.ok((await reader).every(({ events }) => events.length === 0));
  assert.is((await rejected(store.append(aStream(), messages(1), NO_STREAM), Refusal)).code, 'unavailable');
});

test(
  'many processes may migrate at once',
  async () => {
    const databases = Array.from({ length: 5 }, () =>
      openDatabase({ connection: empty.url, poolMax: 1, embedded: false, applicationName: 'test' }),
    );
    await Promise.all(databases.map(({ knex }) => migrate(knex)));
    const [first] = databases;
    if (first === undefined) throw new Error('no database');
    const { rows } = await first.pool.query<{ n: string }>('select count(*) as n from log_head');
    assert.equal(rows, [{ n: '1' }]);
    await first.pool.query(`insert into knex_migrations (name, batch) values ('999_from_the_future', 9)`);
    const error = await rejected(migrate(first.knex), Refusal);
    assert.is(error.retryable, false);
    assert.match(error.message, /999_from_the_future/);
    await Promise.all(databases.map((database) => database.close()));
  },
  SLOW,
);

test('a connection whose query timed out is not handed on', async () => {
  const database = openDatabase({
    ...{ connection: empty.url, poolMax: 1, embedded: false, applicationName: 'test' },
    queryMs: 300,
  });
  const slow = database.knex.raw('set statement_timeout = 0').then(() => database.knex.raw('select pg_sleep(3)'));
  await rejected(slow, Error);
  const startedMs = performance.now();
  const { rows } = await database.knex.raw<{ rows: { one: number }[] }>('select 1 as one');
  assert.equal(rows, [{ one: 1 }]);
  assert.ok(performance.now() - startedMs < 2_500);
  await database.close();
});

/** The same pool, but while `losing` every statement's answer is lost after the server has run it. */
function losingReplies(pool: pg.Pool, losing: () => boolean): pg.Pool {
  const lossy = (client: pg.PoolClient): pg.PoolClient =>
    new Proxy(client, {
      get: (target, key) => {
        if (key === 'query')
          return async (query: pg.QueryConfig) => {
            const result = await target.query(query);
            if (losing()) throw new Error('Connection terminated unexpectedly');
            return result;
          };
        const value: unknown = Reflect.get(target, key);
        return value;
      },
    });
  return new Proxy(pool, {
    get: (target, key) => {
      if (key === 'connect') return async () => lossy(await target.connect());
      const value: unknown = Reflect.get(target, key);
      return value;
    },
  });
}

test.run();
