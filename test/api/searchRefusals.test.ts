/** POST /api/v1/search: what is refused, what cannot be answered, and what is told of it. */
import * as assert from 'uvu/assert';
import { Refusal } from '../../domain/refusal.ts';
import { openDatabase } from '../../infra/database.ts';
import { suite } from '../harness.ts';
import { fakeEmbedder, fakeIndex, gone, stores } from '../projections/searchParts.ts';
import { postgresForTests } from '../services.ts';
import { startSearchScene, type SearchScene } from './searchScene.ts';
import { startServiceForTests, type TestService } from './serviceForTests.ts';
import { expected, quietDiscussion, UNKNOWN } from './serviceScenes.ts';

const test = suite('searches refused');
let on: TestService;
let scene: SearchScene;
const model = fakeEmbedder();
const store = fakeIndex();

test.before(async () => {
  on = await startServiceForTests();
  scene = await startSearchScene(on, { embedder: () => model, index: stores({ pgvector: store }) });
  const { id } = await quietDiscussion(on);
  expected(await on.post(`/discussions/${id}/messages`, { content: 'Oolong is partly oxidised.' }), 201);
});
test.after(async () => {
  await scene.stop();
  await on.stop();
});

const QUOTES = `' " \`{x}\` [y] \\ $1 ; -- %' or {operator: Or}`;
const bad: readonly (readonly [body: object, pointer: string])[] = [
  [{}, '/query'],
  [{ query: '' }, '/query'],
  [{ query: ' \n\t\u00a0' }, '/query'],
  [{ query: 'x'.repeat(2_001) }, '/query'],
  [{ query: 'tea\u0000' }, '/query'],
  [{ query: '\ud83c' }, '/query'],
  [{ query: ['tea'] }, '/query'],
  [{ mode: 'magic' }, '/mode'],
  [{ mode: QUOTES }, '/mode'],
  [{ kinds: [] }, '/kinds'],
  [{ kinds: ['memory'] }, '/kinds/0'],
  [{ kinds: [QUOTES] }, '/kinds/0'],
  [{ kinds: ['message', 'message'] }, '/kinds'],
  [{ kinds: 'message' }, '/kinds'],
  [{ limit: 0 }, '/limit'],
  [{ limit: -1 }, '/limit'],
  [{ limit: 101 }, '/limit'],
  [{ limit: 10_000 }, '/limit'],
  [{ limit: 1.5 }, '/limit'],
  [{ limit: '10' }, '/limit'],
  [{ discussionId: 'not-a-uuid' }, '/discussionId'],
  [{ discussionId: `${UNKNOWN}"}` }, '/discussionId'],
  [{ discussionId: QUOTES }, '/discussionId'],
  [{ agentId: QUOTES }, '/agentId'],
  [{ projectId: QUOTES }, '/projectId'],
  [{ projectId: '*' }, '/projectId'],
  [{ from: QUOTES }, '/from'],
  [{ from: 'yesterday' }, '/from'],
  [{ from: '2025-01-31' }, '/from'],
  [{ from: '2025-01-31T12:00:00' }, '/from'],
  [{ from: '2025-02-30T12:00:00Z' }, '/from'],
  [{ from: '0000-01-01T00:00:00Z' }, '/from'],
  [{ to: '9999-12-31T23:59:59-01:00' }, '/to'],
  [{ to: 1_738_324_800_000 }, '/to'],
  [{ from: '2025-01-31T12:00:00Z', to: '2025-01-30T12:00:00Z' }, '/to'],
  [{ from: '2025-01-31T12:00:00Z', to: '2025-01-31T13:00:00+01:00' }, '/to'],
  [{ projects: null }, '/projects'],
  [{ within: [] }, '/within'],
];
for (const [body, pointer] of bad)
  test(`refused: ${JSON.stringify(body).slice(0, 80)}`, async () => {
    const { errors } = await scene.refused(
      JSON.stringify(pointer === '/query' ? body : { query: 'tea', ...body }),
      400,
      'invalid',
    );
    assert.equal([...new Set(errors.map((error) => error.pointer))], [pointer]);
  });

test('a query of 1 MB is too large, in every mode, and nobody is asked', async () => {
  const asked = [model.asked.length, store.asked.length];
  for (const mode of ['keyword', 'semantic', 'hybrid'])
    await scene.refused({ query: 'tea '.repeat(262_144), mode }, 413, 'too-large');
  assert.equal([model.asked.length, store.asked.length], asked);
});

test('quotes, braces, operators, SQL and 2,000 characters are words like others', async () => {
  for (const query of [
    QUOTES,
    "'; drop view passages_s1; --",
    '!!! & | <-> :*',
    '{"where": 1}',
    '"',
    '🍵'.repeat(1_000),
    '\u200b',
    '-',
  ])
    for (const mode of ['keyword', 'semantic', 'hybrid']) {
      const answer = await scene.ask({ query, mode });
      assert.is(answer.status, 200, `${query} ${mode}: ${await answer.text()}`);
    }
  assert.is((await scene.found({ query: 'oolong' })).data.length > 0, true);
});

/** What cannot be searched by meaning answers 503 and says what to do; by words it goes on. */
const cannot: Readonly<Record<string, { parts: Parameters<typeof startSearchScene>[1]; says: RegExp }>> = {
  'an index without vectors': { parts: { live: () => Promise.resolve(null) }, says: /no vectors yet/ },
  'a collection deleted underneath': {
    parts: { index: stores({ pgvector: fakeIndex(gone) }) },
    says: /gone.*projections rebuild embeddings/,
  },
  'a PostgreSQL without pgvector': {
    parts: {
      live: () => Promise.resolve(null),
      index: stores({
        pgvector: fakeIndex(undefined, () => {
          throw new Refusal('unavailable', 'install pgvector');
        }),
      }),
    },
    says: /install pgvector/,
  },
  'a store that is away': {
    parts: {
      index: stores({
        pgvector: fakeIndex(() => {
          throw new Refusal('unavailable', 'Weaviate is away');
        }),
      }),
    },
    says: /Weaviate is away/,
  },
  'another model under the same name': {
    parts: { embedder: () => fakeEmbedder(undefined, { digest: 'sha256:2' }) },
    says: /projections rebuild embeddings/,
  },
};
for (const [what, { parts, says }] of Object.entries(cannot))
  test(`${what}: semantic and hybrid are unavailable, keyword answers`, async () => {
    const other = await startSearchScene(on, parts);
    for (const mode of ['semantic', 'hybrid'])
      assert.match((await other.refused({ query: 'oolong', mode }, 503, 'unavailable')).detail, says);
    assert.ok((await other.found({ query: 'oolong' })).data.length > 0);
    await other.stop();
  });

test('a database that cannot search is told without the query, in the answer and in the log', async () => {
  const empty = await postgresForTests();
  const database = openDatabase({ connection: empty.url, poolMax: 2, embedded: false, applicationName: 'search test' });
  const other = await startSearchScene(on, { knex: database.knex });
  const { detail } = await other.refused({ query: 'zanzibar', mode: 'keyword' }, 503, 'unavailable');
  assert.match(detail, /the database cannot search now/);
  const log = JSON.stringify(other.api.log);
  assert.match(log, /42P01/, 'the cause is in the log');
  assert.not.match(log, /zanzibar/);
  await other.stop();
  await database.close();
  await empty.stop();
});

test('what was asked never shows in the log', async () => {
  await scene.ask({ query: 'zanzibar', mode: 'hybrid' });
  await scene.refused({ query: 'zanzibar', limit: 0 }, 400, 'invalid');
  assert.not.match(JSON.stringify(scene.api.log), /zanzibar/);
});

test('who leaves stops the search', async () => {
  let told = (_signal: AbortSignal): void => undefined;
  const asked = new Promise<AbortSignal>((resolve) => (told = resolve));
  const hanging = fakeIndex((_version, signal) => (told(signal), new Promise(() => undefined)));
  const other = await startSearchScene(on, { index: stores({ pgvector: hanging }) });
  const leaving = new AbortController();
  const body = JSON.stringify({ query: 'oolong', mode: 'semantic' });
  const headers = { 'Content-Type': 'application/json' };
  const left = other.api
    .get('/api/v1/search', { method: 'POST', body, headers, signal: leaving.signal })
    .catch(() => 'left');
  const signal = await asked;
  leaving.abort();
  assert.is(await left, 'left');
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  await other.stop();
});

test.run();
