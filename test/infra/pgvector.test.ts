/** What only this adapter can get wrong. */
import { createHash } from 'node:crypto';
import pg from 'pg';
import * as assert from 'uvu/assert';
import type { VectorIndex } from '../../domain/meaning/vectorIndex.ts';
import { openDatabase } from '../../infra/database.ts';
import { createPgvector } from '../../infra/pgvector.ts';
import { aPassage, aVector, EVERYTHING, own, randoms, someObjects, SPEC } from '../contracts/samplePassages.ts';
import { refusal } from '../contracts/vectorIndex.ts';
import { suite } from '../harness.ts';
import { freePort } from '../postgresServer.ts';
import { until } from '../workers/talks.ts';
import { serverWithPgvector } from './pgvectorServer.ts';
import { embeddedLog, realLog, type TestLog } from './postgresStores.ts';

const inner = suite('pgvector');
// Databases are made and dropped, on machines that may have other things to do.
const test = Object.assign(
  (says: string, body: () => unknown, options = { deadlineMs: 60_000 }) => inner(says, body, options),
  inner,
);
const never = (): AbortSignal => new AbortController().signal;
let log: TestLog;
let index: VectorIndex;
test.before(async () => {
  log = await embeddedLog();
  index = createPgvector(log.database);
});
test.after(() => log.stop());

test(
  'models of more dimensions than an index holds are kept in half precision, or compared one by one',
  async () => {
    for (const [dimensions, indexed] of [
      [2_000, 1],
      [2_001, 1],
      [4_000, 1],
      [4_001, 0],
    ] as const) {
      await index.create(dimensions, { ...SPEC, dimensions });
      const random = randoms(dimensions);
      const objects = Array.from({ length: 20 }, (_, i) => {
        return { passage: aPassage(`wide ${i}`), vector: aVector(random, dimensions) };
      });
      await index.put(dimensions, objects);
      await index.complete(dimensions);
      assert.equal(await index.unfindable(dimensions, own(objects)), []);
      for (const { passage, vector } of objects) {
        const [hit] = await index.search(dimensions, { vector, filter: EVERYTHING, limit: 1 }, { signal: never() });
        assert.is(hit?.passage.passageId, passage.passageId);
        assert.ok((hit?.score ?? 0) > 0.999);
      }
      const { rows } = await log.database.pool.query(
        `select 1 from pg_indexes where tablename = $1 and indexdef like '%hnsw%'`,
        [`embeddings_vectors_v${dimensions}`],
      );
      assert.is(rows.length, indexed, `${dimensions} dimensions`);
      await index.drop(dimensions);
    }
  },
  { deadlineMs: 60_000 },
);

if (await serverWithPgvector('what pgvector searches by its index'))
  test(
    'a completed version is searched by its index',
    async () => {
      const real = await realLog();
      const [on, { pool }] = [createPgvector(real.database), real.database];
      await on.create(1, SPEC);
      await on.put(1, someObjects(5_000, 30));
      await on.complete(1);
      await until(async () => {
        await on.search(1, { vector: aVector(randoms(31)), filter: EVERYTHING, limit: 10 }, { signal: never() });
        // The server counts a little later.
        const { rows } = await pool.query<{ scans: string }>(
          `select idx_scan as scans from pg_stat_user_indexes where indexrelname = 'embeddings_vectors_v1_nearest'`,
        );
        return Number(rows[0]?.scans ?? 0) > 0;
      }, 20_000).finally(() => real.stop());
    },
    { deadlineMs: 60_000 },
  );

test('a search sets nothing that other statements mind, and what is equally near comes in order of id', async () => {
  const [first] = someObjects(1, 32);
  const same = Array.from({ length: 12 }, (_, i) => ({ passage: aPassage(`tie ${i}`), vector: first?.vector ?? [] }));
  await index.create(2, SPEC);
  await index.put(2, same);
  const before = await sessionSettings();
  const found = await index.search(
    2,
    { vector: aVector(randoms(33)), filter: EVERYTHING, limit: 500 },
    { signal: never() },
  );
  const ids = found.map(({ passage }) => passage.passageId);
  assert.equal(ids, [...ids].sort());
  const own = (setting: string): boolean => setting.startsWith('hnsw.');
  const others = (setting: string): boolean => !own(setting);
  const after = await sessionSettings();
  assert.equal(after.filter(others), before.filter(others));
  assert.equal(after.filter(own), [
    'hnsw.ef_search=200',
    'hnsw.iterative_scan=strict_order',
    'hnsw.max_scan_tuples=20000',
  ]);
});

async function sessionSettings(): Promise<string[]> {
  const { rows } = await log.database.pool.query<{ setting: string }>(
    `select name || '=' || setting as setting from pg_settings where source = 'session' order by name`,
  );
  return rows.map(({ setting }) => setting);
}

test('what is put again unchanged is not written again', async () => {
  const objects = someObjects(300, 34);
  await index.create(3, SPEC);
  await index.put(3, objects);
  const written = async (): Promise<string> => {
    const { rows } = await log.database.pool.query('select xmin, ctid from embeddings_vectors_v3 order by passage_id');
    return createHash('sha256').update(JSON.stringify(rows)).digest('hex');
  };
  const before = await written();
  await index.put(3, objects);
  assert.is(await written(), before);
});

test('another table of that name is never taken for a collection', async () => {
  await log.database.pool.query('create table embeddings_vectors_v4 (x int)');
  await log.database.pool.query(`comment on table embeddings_vectors_v4 is '{"model": 1}'`);
  assert.is(await refusal(index.create(4, SPEC)), 'conflict');
  assert.is(await refusal(index.describe(4)), 'conflict');
  for (const version of [-1, 1.5, NaN]) assert.is(await refusal(index.describe(version)), 'invalid');
});

test('one connection is enough for everything, and an aborted search gives it back', async () => {
  const connection = log.database.pool.options;
  const pool = new pg.Pool({ ...connection, max: 1 });
  const one = createPgvector({ pool, embedded: true });
  await one.create(5, SPEC);
  await one.put(5, someObjects(50, 35));
  for await (const page of one.list(5)) {
    await one.remove(5, [page[0]?.passageId ?? '']);
    break;
  }
  const aborting = new AbortController();
  const wanted = { vector: aVector(randoms(36)), filter: EVERYTHING, limit: 10 };
  const searches = Array.from({ length: 5 }, () => one.search(5, wanted, aborting).catch((error: unknown) => error));
  aborting.abort(new Error('left'));
  assert.ok((await Promise.all(searches)).every((end) => end instanceof Error && end.message === 'left'));
  assert.is((await one.search(5, wanted, { signal: never() })).length, 10);
  await until(async () => Promise.resolve(pool.idleCount === pool.totalCount), 5_000);
  await pool.end();
});

test('a database that is away is unavailable, and no error tells what was asked', async () => {
  const connection = `postgres://nobody:secret-word@127.0.0.1:${await freePort()}/none`;
  const database = openDatabase({ connection, embedded: false, poolMax: 2, applicationName: 'away' });
  const away = createPgvector(database);
  const object = { passage: aPassage('x', { text: 'a private text' }), vector: aVector(randoms(37)) };
  for (const work of [
    away.create(1, SPEC),
    away.put(1, [object]),
    away.unfindable(1, own([object])),
    away.versions(),
  ]) {
    const error: unknown = await work.catch((thrown: unknown) => thrown);
    assert.ok(error instanceof Error);
    assert.not.match(error.message, /secret-word|private|embeddings_|select|insert/i);
  }
  assert.is(await refusal(away.versions()), 'unavailable');
  await database.close();
});

inner.run();
