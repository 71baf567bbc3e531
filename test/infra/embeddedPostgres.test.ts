import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import * as assert from 'uvu/assert';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../infra/embeddedPostgres.ts';
import { SEED_ENGINE } from '../../infra/embeddedPostgresSeed.ts';
import { suite } from '../harness.ts';

const test = suite('embedded Postgres');
let root: string;
let database: EmbeddedPostgres;
let pool: pg.Pool;

async function until(holds: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> {
  const start = performance.now();
  while (!(await holds())) {
    if (performance.now() - start > withinMs) throw new Error('did not come true in time');
    await sleep(20);
  }
}

async function scalar(sql: string, values: unknown[] = []): Promise<unknown> {
  const { rows } = await pool.query<{ value: unknown }>(sql, values);
  return rows[0]?.value;
}

test.before(async () => {
  root = await mkdtemp(join(tmpdir(), 'colloquy-test-'));
  database = await startEmbeddedPostgres({
    dataDir: join(root, 'data'),
    onFault: () => undefined,
    idleInTransactionMs: 700,
  });
  pool = new pg.Pool({ ...database.connection, max: 4 });
  // One that is on its way out may still be told of the end, when nobody listens to it any more.
  pool.on('connect', (client) => void client.on('error', () => undefined));
  await pool.query('CREATE TABLE items (id bigserial PRIMARY KEY, text text NOT NULL)');
});

test.after(async () => {
  await pool.end();
  await database.stop();
  await rm(root, { recursive: true, force: true });
});

test('syncs to the disk for every commit, and not for reads', async () => {
  const before = database.stats().fsyncs;
  for (let i = 0; i < 20; i += 1) await pool.query('INSERT INTO items (text) VALUES ($1)', [`item ${i}`]);
  const written = database.stats().fsyncs;
  assert.ok(written - before >= 20, `${written - before} syncs for 20 commits`);
  for (let i = 0; i < 20; i += 1) await pool.query('SELECT count(*) FROM items');
  assert.ok(database.stats().fsyncs - written < 5);
});

test('gives every connection its own answers, also when parameters arrive in pieces', async () => {
  const ask = async (who: number): Promise<void> => {
    const text = 'x'.repeat(who % 2 === 0 ? 300_000 : 10);
    for (let i = 0; i < 25; i += 1) {
      const sql = `SELECT $1::int AS i, length($2::text) AS length, ${who} AS who`;
      const { rows } = await pool.query(sql, [i, text]);
      assert.equal(rows, [{ i, length: text.length, who }]);
    }
  };
  await Promise.all([0, 1, 2, 3].map(ask));
});

test('keeps other connections out of an open transaction', async () => {
  const first = await pool.connect();
  await first.query('BEGIN');
  await first.query(`INSERT INTO items (text) VALUES ('inside')`);
  let answered = false;
  const other = scalar(`SELECT count(*)::int AS value FROM items WHERE text = 'inside'`).finally(
    () => (answered = true),
  );
  await sleep(100);
  assert.is(answered, false);
  await first.query('COMMIT');
  first.release();
  assert.is(await other, 1);
});

test('rolls back what a vanished connection left open', async () => {
  const client = new pg.Client(database.connection);
  client.on('error', () => undefined);
  await client.connect();
  await client.query('BEGIN');
  await client.query(`INSERT INTO items (text) VALUES ('vanished')`);
  client.connection.stream.destroy();
  assert.is(await scalar(`SELECT count(*)::int AS value FROM items WHERE text = 'vanished'`), 0);
  await client.end().catch(() => undefined);
});

test('does not run what a connection asked for that vanished while it waited', async () => {
  const holder = await pool.connect();
  await holder.query('BEGIN');
  const client = new pg.Client(database.connection);
  client.on('error', () => undefined);
  await client.connect();
  const asked = client.query(`INSERT INTO items (text) VALUES ('hung up')`).catch(() => 'failed');
  await sleep(50);
  client.connection.stream.destroy();
  assert.is(await asked, 'failed');
  await sleep(50);
  await holder.query('COMMIT');
  holder.release();
  assert.is(await scalar(`SELECT count(*)::int AS value FROM items WHERE text = 'hung up'`), 0);
  await client.end().catch(() => undefined);
});

test('ends a transaction that sits idle while others wait', async () => {
  const idle = new pg.Client(database.connection);
  let ended: Error | undefined;
  idle.on('error', (error) => (ended ??= error));
  await idle.connect();
  await idle.query('BEGIN');
  assert.is(await scalar('SELECT 1 AS value'), 1);
  await until(() => ended !== undefined);
  assert.match(String(ended), /idle/);
});

test('takes the same statement name from several connections', async () => {
  const clients = await Promise.all([pool.connect(), pool.connect()]);
  const [a, b] = clients;
  for (let round = 0; round < 2; round += 1) {
    assert.equal((await a.query({ name: 'same', text: 'SELECT $1::int AS a', values: [1] })).rows, [{ a: 1 }]);
    assert.equal((await b.query({ name: 'same', text: 'SELECT $1::text AS b', values: ['2'] })).rows, [{ b: '2' }]);
  }
  for (const client of clients) client.release(true);
});

test('hands notifications to listeners after the commit', async () => {
  const listener = await pool.connect();
  const heard: (string | undefined)[] = [];
  listener.on('notification', (message) => heard.push(message.payload));
  await listener.query('LISTEN news');
  await pool.query(`SELECT pg_notify('news', 'one')`);
  await until(() => heard.length > 0, 2_000);
  assert.equal(heard, ['one']);
  listener.release(true);
});

test('refuses COPY FROM STDIN without harm', async () => {
  await pool.query('COPY items (text) FROM STDIN').then(
    () => assert.unreachable(),
    (error: unknown) => assert.match(String(error), /COPY FROM STDIN/),
  );
  assert.is(await scalar('SELECT 1 AS value'), 1);
});

test('has pgvector', async () => {
  await pool.query('CREATE EXTENSION vector');
  await pool.query('CREATE TABLE embeddings (id int, at vector(2))');
  await pool.query('CREATE INDEX ON embeddings USING hnsw (at vector_l2_ops)');
  await pool.query(`INSERT INTO embeddings VALUES (1, '[0,0]'), (2, '[3,4]')`);
  assert.is(await scalar(`SELECT at <-> '[0,0]' AS value FROM embeddings ORDER BY at <-> '[3,3]' LIMIT 1`), 5);
});

test('has a seed made by the engine that is installed', async () => {
  const pinned: unknown = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
  assert.match(JSON.stringify(pinned), `"@electric-sql/pglite":"${SEED_ENGINE}"`);
});

test.run();
