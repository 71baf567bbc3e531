/** The pool: bounded, measured, and clear about what it refuses. */
import * as assert from 'uvu/assert';
import { Refusal } from '../../domain/refusal.ts';
import type { Log, Telemetry } from '../../domain/telemetry.ts';
import { openDatabase, type Database, type DatabaseOptions } from '../../infra/database.ts';
import { createPostgresLeases } from '../../infra/postgresLeases.ts';
import { suite } from '../harness.ts';
import { postgresForTests, type TestDatabase } from '../services.ts';

const test = suite('database pool');
let server: TestDatabase;
test.before(async () => void (server = await postgresForTests()));
test.after(() => server.stop());

async function withDatabase(more: Partial<DatabaseOptions>, work: (database: Database) => Promise<void>) {
  const options = { connection: server.url, embedded: false, poolMax: 2, applicationName: 'database test' };
  const database = openDatabase({ ...options, ...more });
  await work(database).finally(() => database.close());
}

const isRefused = (error: unknown): boolean =>
  error instanceof Refusal && error.code === 'unavailable' && error.retryable && error.retryAfterMs === 1_000;

test('refuses at once when too many wait for a connection, on every way to one, and serves those who wait', () =>
  withDatabase({ waitingMax: 3 }, async ({ pool, knex, ...database }) => {
    const held = [await pool.connect(), await pool.connect()];
    const waiting = [
      pool.query('select 1 as n'),
      Promise.resolve(knex.raw('select 1 as n')),
      pool.query('select 1 as n'),
    ];
    while (database.stats().waiting < 3) await new Promise(setImmediate);
    assert.equal(database.stats(), { idle: 0, active: 2, waiting: 3 });
    const ways = [
      () => pool.query('select 2'),
      () => pool.connect(),
      () => knex.raw('select 2'),
      () => knex.transaction(async (trx) => trx.raw('select 2')),
      () => createPostgresLeases({ pool }).release(['0195f1c5-26f0-7c5a-b49d-246f1a4c3f4a']),
    ];
    for (const way of ways)
      await Promise.resolve(way()).then(
        () => assert.unreachable('must be refused'),
        (error: unknown) => assert.ok(isRefused(error), String(error)),
      );
    for (const client of held) client.release();
    for (const result of await Promise.all(waiting))
      assert.equal((result as { rows: { n: number }[] }).rows, [{ n: 1 }]);
    assert.equal(database.stats(), { idle: 2, active: 0, waiting: 0 });
  }));

test('a server that is not there is unavailable on every way to it', async () => {
  await withDatabase({ connection: 'postgres://postgres@127.0.0.1:9/x' }, async ({ pool, knex }) => {
    for (const way of [() => pool.query('select 1'), () => pool.connect(), () => knex.raw('select 1')])
      await Promise.resolve(way()).then(
        () => assert.unreachable('must be refused'),
        (error: unknown) => assert.ok(isRefused(error), String(error)),
      );
  });
});

test('a server that ends a session in the middle of a query is unavailable; what it refuses says why', () =>
  withDatabase({}, async ({ knex }) => {
    const killed = 'select pg_terminate_backend(pg_backend_pid())';
    const ways = [() => knex.raw(killed), () => knex.transaction(async (trx) => trx.raw(killed))];
    for (const way of ways)
      await Promise.resolve(way()).then(
        () => assert.unreachable('must be refused'),
        (error: unknown) => {
          assert.ok(isRefused(error), String(error));
          assert.not.match(String(error), /select/, 'no statement in what clients read');
        },
      );
    await Promise.resolve(knex.raw('select 1/0')).then(
      () => assert.unreachable('must be refused'),
      (error: unknown) => assert.is((error as { code: string }).code, '22012'),
    );
  }));

test('slow statements are counted and logged without values, quick ones only timed', async () => {
  const [logged, counted, observed]: [unknown[][], string[], string[]] = [[], [], []];
  const log: Log = { info: () => undefined, error: () => undefined, warn: (...line) => void logged.push(line) };
  const telemetry: Telemetry = {
    count: (name) => void counted.push(name),
    set: () => undefined,
    observe: (name) => void observed.push(name),
  };
  await withDatabase({ watch: { slowMs: 100, telemetry, log } }, async ({ pool, knex }) => {
    await pool.query('select 1');
    await knex.raw('select 1');
    const quick = observed.length;
    assert.ok(quick >= 2);
    assert.equal([counted, logged], [[], []]);
    const padding = ' '.repeat(50) + '-- and so on'.repeat(50);
    const client = await pool.connect();
    await client.query(`select\n  pg_sleep($1::text::float8)${padding}`, ['0.201']);
    await client.query('select pg_sleep(0.2), no_such_column').catch(() => undefined);
    client.release();
    await pool.query({ text: 'select pg_sleep($1::text::float8), 2', values: ['0.202'] });
    await knex.raw('select pg_sleep(?::text::float8), 3', ['0.203']);
    assert.equal(counted, Array(3).fill('db_slow_queries_total'));
    assert.ok(observed.length >= quick + 4);
  });
  const statements = logged.map(([fields]) => String((fields as { statement: string }).statement));
  assert.equal(
    statements.map((text) => text.slice(0, 33)),
    ['select pg_sleep($1::text::float8)', 'select pg_sleep($1::text::float8)', 'select pg_sleep($1::text::float8)'],
  );
  assert.is(Math.max(...statements.map(({ length }) => length)), 200);
  assert.not.match(JSON.stringify(logged), /0\.20/);
});

test.run();
