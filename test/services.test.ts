import pg from 'pg';
import * as assert from 'uvu/assert';
import { suite } from './harness.ts';
import { postgresForTests, type TestDatabase } from './services.ts';

const test = suite('services for tests');
let first: TestDatabase;

test.before(async () => {
  first = await postgresForTests();
});
test.after(() => first.stop());

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

test('a database is new, empty and described', async () => {
  const tables = await query(first.url, `SELECT * FROM pg_tables WHERE schemaname = 'public'`);
  assert.equal(tables, []);
  assert.match(first.description, /^PostgreSQL \d+.* \(.+; (no pgvector|pgvector [\d.]+)\)$/);
});

test('two databases do not see each other, and one that is stopped is gone, also while a client is connected', async () => {
  const second = await postgresForTests();
  await query(second.url, 'CREATE TABLE mine (id int)');
  assert.equal(await query(first.url, `SELECT * FROM pg_tables WHERE tablename = 'mine'`), []);
  const left = new pg.Client({ connectionString: second.url });
  left.on('error', () => undefined);
  await left.connect();
  await second.stop();
  await second.stop();
  await left.end();
  const name = new URL(second.url).pathname.slice(1);
  assert.equal(await query(first.url, `SELECT 1 FROM pg_database WHERE datname = '${name}'`), []);
});

test.run();
