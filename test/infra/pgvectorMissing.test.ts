/** What a database answers that has no pgvector, an old one, or does not let us have it. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import * as assert from 'uvu/assert';
import type { VectorIndex } from '../../domain/meaning/vectorIndex.ts';
import { Refusal } from '../../domain/refusal.ts';
import { createPgvector } from '../../infra/pgvector.ts';
import { aPassage, aVector, EVERYTHING, own, randoms, SPEC } from '../contracts/samplePassages.ts';
import { pagesOf } from '../contracts/vectorIndexCollections.ts';
import { suite } from '../harness.ts';
import { startPostgres } from '../postgresServer.ts';
import { postgresForTests } from '../services.ts';
import { serverWithPgvector } from './pgvectorServer.ts';

const inner = suite('pgvector that is missing');
// Databases are made and dropped, on machines that may have other things to do.
const test = Object.assign(
  (says: string, body: () => unknown, options = { deadlineMs: 60_000 }) => inner(says, body, options),
  inner,
);
const object = { passage: aPassage('a'), vector: aVector(randoms(1)) };
const id = object.passage.passageId;
const wanted = { vector: object.vector, filter: EVERYTHING, limit: 5 };

const CALLS: Readonly<Record<string, (index: VectorIndex) => Promise<unknown>>> = {
  create: (index) => index.create(1, SPEC),
  describe: (index) => index.describe(1),
  put: (index) => index.put(1, [object]),
  remove: (index) => index.remove(1, [id]),
  vectors: (index) => index.vectors(1, [id]),
  unfindable: (index) => index.unfindable(1, own([object])),
  list: (index) => pagesOf(index, 1),
  search: (index) => index.search(1, wanted, { signal: new AbortController().signal }),
  complete: (index) => index.complete(1),
  drop: (index) => index.drop(1),
  versions: (index) => index.versions(),
};

async function refusalOf(work: Promise<unknown>): Promise<Refusal> {
  const error = await work.then(
    () => new Error('it was not refused'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof Refusal) return error;
  throw error;
}

async function withPool(options: pg.PoolConfig, work: (pool: pg.Pool) => Promise<void>): Promise<void> {
  const pool = new pg.Pool({ max: 2, connectionTimeoutMillis: 5_000, ...options });
  // The server may end before the last connection has heard of the end of the pool.
  pool.on('connect', (client) => void client.on('error', () => undefined));
  await work(pool).finally(() => pool.end());
}

async function everyCallSays(pool: pg.Pool, says: RegExp): Promise<void> {
  const index = createPgvector({ pool, embedded: false });
  for (const [name, call] of Object.entries(CALLS)) {
    const { code, retryable, message } = await refusalOf(call(index));
    assert.equal([code, retryable], ['unavailable', false], name);
    assert.match(message, says, name);
  }
  await index.close();
}

test(
  'a PostgreSQL without the extension says what to install, whatever is asked',
  async () => {
    // Programs on PATH may have it; Debian 12's and those of the npm package do not.
    const server = await startPostgres('');
    try {
      await withPool({ connectionString: server.url }, async (pool) => {
        const { rows } = await pool.query(`select 1 from pg_available_extensions where name = 'vector'`);
        if (rows.length > 0) return console.log(`left out: PostgreSQL without pgvector: ${server.origin} have it`);
        await everyCallSays(pool, /install it .*postgresql-<major>-pgvector.* or set WEAVIATE_URL/);
      });
    } finally {
      await server.stop();
    }
  },
  { deadlineMs: 60_000 },
);

if (await serverWithPgvector('pgvector that is old or not allowed')) {
  test('a pgvector that cannot filter inside its index is refused, and so is one that only has to be updated', async () => {
    const database = await postgresForTests();
    try {
      await withPool({ connectionString: database.url }, async (pool) => {
        await pool.query(`create schema old; create table old.pg_extension as select 'vector' as extname, '0.7.4' as extversion;
          create table old.pg_available_extensions as select 'vector' as name, '0.7.4' as default_version`);
      });
      const options = '-c search_path=old,pg_catalog,public';
      await withPool({ connectionString: database.url, options }, async (pool) => {
        await everyCallSays(pool, /install it/);
        await pool.query(`update old.pg_available_extensions set default_version = '0.8.5'`);
        await everyCallSays(pool, /alter extension vector update/);
      });
    } finally {
      await database.stop();
    }
  });

  test('a role that may not install it says who may; nothing is taken for a collection', async () => {
    const database = await postgresForTests();
    const role = `reader_${randomUUID().replaceAll('-', '')}`;
    try {
      await withPool({ connectionString: database.url }, async (pool) => {
        await pool.query(`create role ${role} login`);
        const url = new URL(database.url);
        url.username = role;
        await withPool({ connectionString: url.href }, async (its) => {
          const index = createPgvector({ pool: its, embedded: false });
          assert.match((await refusalOf(index.create(1, SPEC))).message, /administrator run "create extension vector"/);
          assert.is(await index.describe(1), null);
          assert.equal(await index.versions(), []);
          assert.is((await refusalOf(index.put(1, [object]))).code, 'conflict');
        });
        await pool.query(`drop role ${role}`);
      });
    } finally {
      await database.stop();
    }
  });
}

inner.run();
