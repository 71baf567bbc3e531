/** The same discussion on pgvector and on a real Weaviate: searches find the same passages. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { startServiceForTests, type TestService } from '../api/serviceForTests.ts';
import { expected } from '../api/serviceScenes.ts';
import { suite } from '../harness.ts';
import { environmentWith } from '../services.ts';
import { findWeaviateProgram, startWeaviateServer, type WeaviateServer } from '../weaviateServer.ts';
import { embedded, EVERYTHING, FACT, openQuiet, say, search, smallTalk } from './meaningScene.ts';

const MESSAGES = 40;
const QUERIES = ['Where is the key hidden?', 'something about money', 'public transport', 'pages that are nearly done'];

const test = suite('one discussion, two stores');
let weaviate: WeaviateServer | null = null;
let dataDir = '';
let on: TestService | null = null;
test.before(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'colloquy-stores-'));
  const program = findWeaviateProgram(environmentWith({})['PATH'] ?? '');
  weaviate = program && (await startWeaviateServer(program));
});
test.after(async () => {
  await on?.stop();
  await weaviate?.stop();
  await rm(dataDir, { recursive: true, force: true });
});

test(
  'moved from pgvector to Weaviate by a rebuild, every mode finds the same passages in the same order',
  async () => {
    if (weaviate === null) {
      console.log('left out: pgvector and Weaviate side by side: there is no weaviate-server on PATH');
      return;
    }
    on = await startServiceForTests({ ...EVERYTHING, COLLOQUY_DATA: dataDir });
    await fill(on);
    const before = await answers(on);
    assert.is(before[0]?.length, 5);
    assert.is(before[0]?.[0], FACT);
    await on.stop();
    on = await startServiceForTests({ ...EVERYTHING, COLLOQUY_DATA: dataDir, WEAVIATE_URL: weaviate.url });
    assert.equal(await answers(on), before, 'until the rebuild the old store answers');
    const { stale } = expected(await on.get('/projections/embeddings'), 200);
    assert.match(String(stale), /pgvector.*weaviate/);
    await rebuilt(on);
    assert.is(expected(await on.get('/projections/embeddings'), 200)['stale'], null);
    assert.equal(await answers(on), before, 'and then the new one');
  },
  { deadlineMs: 200_000 },
);

test.run();

async function fill(service: TestService): Promise<void> {
  const id = await openQuiet(service, []);
  await say(service, id, FACT);
  let token = '';
  for (let n = 0; n < MESSAGES; n += 1) token = await say(service, id, smallTalk(n));
  await embedded(service, token);
}

/** Texts by query and mode. */
async function answers(service: TestService): Promise<string[][]> {
  const found = [];
  for (const mode of ['semantic', 'keyword', 'hybrid'])
    for (const query of QUERIES) found.push(await search(service, { query, mode, limit: 5 }));
  return found;
}

async function rebuilt(service: TestService): Promise<void> {
  const { id } = expected(await service.post('/projections/embeddings/rebuild', { fast: true }), 202);
  for (;;) {
    const operation = expected(await service.get(`/operations/${id}`), 200);
    assert.is.not(operation['status'], 'failed', JSON.stringify(operation));
    if (operation['status'] === 'succeeded') return;
    await delay(100);
  }
}
