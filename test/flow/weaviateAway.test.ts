/** A service whose Weaviate is away for a minute, then killed in the middle of a batch, and which is then killed itself. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import * as assert from 'uvu/assert';
import { killStarted, startProcess, type StartedProcess } from '../scripts/startProcess.ts';
import { suite } from '../harness.ts';
import { NO_WEAVIATE, weaviateProgramForTests } from '../services.ts';
import { startWeaviateServer, type WeaviateServer } from '../weaviateServer.ts';
import { startEmbeddingsStandin, type EmbeddingsStandin } from '../standins/embeddings.ts';
import { smallTalk } from './meaningScene.ts';

const AWAY_MS = 60_000;
const MENDED_WITHIN_MS = 40_000;
const [BEFORE, MEANWHILE, EACH_KILL] = [40, 40, 300];
/** Faster than they are embedded: a real model would only keep the processors busy here. */
const AT_ONCE = 20;
const EMBEDDING_MS = 250;

const program = weaviateProgramForTests();
const test = suite('a service whose Weaviate fails');
let dataDir = '';
let weaviate: WeaviateServer | null = null;
let embedder: EmbeddingsStandin | null = null;
let env: Record<string, string> = {};
test.before(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'colloquy-away-'));
  weaviate = program && (await startWeaviateServer(program));
  embedder = await startEmbeddingsStandin();
  embedder.delays.batchMs = EMBEDDING_MS;
  env = {
    ...{ WEAVIATE_URL: weaviate?.url ?? '', LOG_LEVEL: 'silent' },
    ...{ EMBEDDER: 'openai:minilm', OPENAI_BASE_URL: `${embedder.url}/v1` },
  };
});
test.after(async () => {
  await killStarted();
  await weaviate?.stop();
  await embedder?.stop();
  await rm(dataDir, { recursive: true, force: true });
});

test(
  'discussions and reads go on; in the end every passage is found by its own vector',
  async () => {
    if (weaviate === null) {
      console.log(`left out: a service whose Weaviate is away: ${NO_WEAVIATE}`);
      return;
    }
    let service = startProcess(dataDir, { env });
    const { id } = (await service.api('POST', '/discussions', {
      ...{ title: 'Odds and ends', topic: 'Whatever comes up', policy: { kind: 'manual' }, participants: [] },
    })) as { id: string };
    await say(service, id, 0, BEFORE);
    await caughtUp(service);

    await weaviate.end();
    const backMs = performance.now() + AWAY_MS;
    await say(service, id, BEFORE, MEANWHILE);
    assert.is((await found(service, 'keyword', smallTalk(BEFORE + 5))).length, 5, 'words are found all the same');
    assert.match(await found(service, 'semantic', 'anything').then(String, String), / 503 /);
    assert.ok((await embeddings(service)).behind > 0, 'the lag shows');
    await delay(backMs - performance.now());
    await weaviate.restart();
    await caughtUp(service);

    await say(service, id, BEFORE + MEANWHILE, EACH_KILL);
    await underWay(service);
    await weaviate.kill();
    await say(service, id, BEFORE + MEANWHILE + EACH_KILL, EACH_KILL);
    await weaviate.restart();
    await underWay(service);
    await service.end('SIGKILL');
    service = startProcess(dataDir, { env });
    await caughtUp(service);
    const rows = BEFORE + MEANWHILE + 2 * EACH_KILL;
    const whole = [
      [rows, 0],
      [rows, 0],
    ];
    // What it has put into a graph that was damaged it looks for again, until nothing is amiss.
    let compared = await counted(service);
    for (
      const startMs = performance.now();
      !isDeepStrictEqual(compared, whole) && performance.now() - startMs < MENDED_WITHIN_MS;
    ) {
      console.log(`not yet: ${JSON.stringify(compared)}`);
      await delay(1_000);
      compared = await counted(service);
    }
    assert.equal(compared, whole);
    assert.is((await found(service, 'semantic', smallTalk(rows - 1)))[0], smallTalk(rows - 1));
    assert.is(await service.end('SIGTERM'), 0);
  },
  { deadlineMs: 400_000 },
);

test.run();

async function say(on: StartedProcess, discussionId: string, first: number, count: number): Promise<void> {
  for (let from = first; from < first + count; from += AT_ONCE)
    await Promise.all(
      Array.from({ length: Math.min(AT_ONCE, first + count - from) }, (_, i) =>
        on.api('POST', `/discussions/${discussionId}/messages`, { content: smallTalk(from + i) }),
      ),
    );
}

interface State {
  readonly position: string;
  readonly behind: number;
}

async function embeddings(on: StartedProcess): Promise<State> {
  return (await on.api('GET', '/projections/embeddings')) as State;
}

async function caughtUp(on: StartedProcess): Promise<void> {
  while ((await embeddings(on)).behind > 0) await delay(100);
}

/** Waits until the embedder has gone on, and is not done. */
async function underWay(on: StartedProcess): Promise<void> {
  const { position } = await embeddings(on);
  for (;;) {
    const now = await embeddings(on);
    assert.ok(now.behind > 0, 'there is something left to embed');
    if (now.position !== position) return;
    await delay(20);
  }
}

async function found(on: StartedProcess, mode: string, query: string): Promise<string[]> {
  const { data } = (await on.api('POST', '/search', { query, mode, limit: 5 })) as {
    data: { snippet: { text: string } }[];
  };
  return data.map(({ snippet }) => snippet.text);
}

interface Differences {
  readonly tables: readonly { readonly table: string; readonly rows: number; readonly differing: number }[];
}

/** Of the ledger and of the index: how many there are, and how many of them are not as they should be. */
async function counted(on: StartedProcess): Promise<number[][]> {
  const { tables } = await differences(on);
  return tables.filter(({ table }) => /^(embeddings|vectors)$/.test(table)).map((each) => [each.rows, each.differing]);
}

async function differences(on: StartedProcess): Promise<Differences> {
  const { id } = (await on.api('POST', '/projections/embeddings/diff', {})) as { id: string };
  for (;;) {
    const operation = (await on.api('GET', `/operations/${id}`)) as { status: string; result: Differences | null };
    if (operation.result !== null) return operation.result;
    assert.is.not(operation.status, 'failed', JSON.stringify(operation));
    await delay(100);
  }
}
