/** One discussion through all of it: EventStoreDB, NATS, PostgreSQL, a model, an embedder, Weaviate, search. */
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { RemoteProblem } from '../../scripts/remote.ts';
import { suite } from '../harness.ts';
import { environmentWith, ollamaForTests } from '../services.ts';
import { findWeaviateProgram } from '../weaviateServer.ts';
import { startClusterProcess, type ClusterProcess } from './clusterProcess.ts';
import { createVisitor, type Visitor } from './visitor.ts';

const TURNS = 2;
const FACT = 'The lighthouse at Skerry Point was built of granite in 1844.';
const ASIDE = ['Lunch is at noon on Fridays.', 'The printer on the second floor is out of toner.'];

interface Said {
  readonly discussionId: string;
}

const test = suite('the whole shape');
let cluster: ClusterProcess | null = null;
test.after(async () => void (await cluster?.stop()));

interface Found {
  readonly data: readonly {
    readonly snippet: { readonly text: string };
    readonly event: { readonly stream: string };
  }[];
  readonly model: string | null;
}

test(
  'agents talk, people post, and what was said is found by its meaning, by its words and by both',
  async () => {
    const ollama = await ollamaForTests();
    if (ollama === null) console.log('left out: a real Ollama in the whole shape: TEST_OLLAMA_URL is not set');
    const weaviate = findWeaviateProgram(environmentWith({})['PATH'] ?? '') !== null;
    if (!weaviate) console.log('left out: Weaviate in the whole shape: there is no weaviate-server on PATH');
    const embedder = ollama === null ? 'builtin' : 'ollama:all-minilm';
    cluster = await startClusterProcess(['--api', '1', '--workers', '1'], { EMBEDDER: embedder });
    assert.is(cluster.names().includes('weaviate'), weaviate);
    const visitor = createVisitor(cluster.apis, cluster.token);
    const discussionId = await talk(visitor, ollama !== null);
    for (const mode of (await hasVectors(visitor)) ? ['semantic', 'keyword', 'hybrid'] : ['keyword']) {
      const query = 'Of which stone was the lighthouse built?';
      const found = await until(visitor, { query, mode, discussionId, limit: 20 }, hasFact);
      // What a real model says is chance, and may fit the question better: judged is what people said.
      const posted = found.data.filter(({ snippet }) => [FACT, ...ASIDE].includes(snippet.text));
      assert.is(posted[0]?.snippet.text, FACT, mode);
      assert.is(posted[0]?.event.stream, `discussion-${discussionId}`);
      assert.is(found.model, mode === 'keyword' ? null : embedder);
    }
    await goesOnInFork(visitor, discussionId);
    assert.is(await cluster.stop(), 0, 'the cluster ends cleanly');
  },
  { deadlineMs: 230_000 },
);

test.run();

/** Without Weaviate vectors stand in PostgreSQL, where pgvector may be missing: then search says what to install. */
async function hasVectors(visitor: Visitor): Promise<boolean> {
  try {
    await visitor.call('POST', '/search', { query: 'anything', mode: 'semantic' });
    return true;
  } catch (error) {
    if (!(error instanceof RemoteProblem)) throw error;
    assert.match(error.message, /no pgvector .* install it/);
    console.log('left out: search by meaning in the whole shape: this PostgreSQL has no pgvector');
    return false;
  }
}

/** Two agents take their turns, a person says three things. @returns the discussion's id. */
async function talk(visitor: Visitor, real: boolean): Promise<string> {
  const model = real
    ? { provider: 'ollama', name: 'smollm2:135m', parameters: { num_predict: 24 } }
    : { provider: 'offline', name: 'offline' };
  const agents = [];
  for (const name of ['Ines', 'Jon'])
    agents.push(await visitor.call<{ id: string }>('POST', '/agents', { name, instructions: 'Be brief.', model }));
  const { id } = await visitor.call<{ id: string }>('POST', '/discussions', {
    ...{ title: 'Skerry', topic: 'What is known of Skerry Point?' },
    participants: agents.map((each) => ({ agentId: each.id })),
    limits: { maxTurns: TURNS },
  });
  for (const content of [FACT, ...ASIDE]) await visitor.call('POST', `/discussions/${id}/messages`, { content });
  await concluded(visitor, id);
  return id;
}

function hasFact({ data }: Found): boolean {
  return data.some(({ snippet }) => snippet.text === FACT);
}

/** A fork of what is concluded, from before its end, takes one turn more; its messages begin with those that it shares. */
async function goesOnInFork(visitor: Visitor, parentId: string): Promise<void> {
  const messages = async (id: string) =>
    (await visitor.call<{ data: Said[] }>('GET', `/discussions/${id}/messages?limit=100`)).data;
  const shared = await messages(parentId);
  const { revision } = await visitor.call<{ revision: number }>('GET', `/discussions/${parentId}`);
  const { id } = await visitor.call<{ id: string }>('POST', `/discussions/${parentId}/fork`, {
    atRevision: revision - 1,
    overrides: { limits: { maxTurns: TURNS + 1 } },
  });
  await concluded(visitor, id);
  const all = await messages(id);
  assert.is(all.length, shared.length + 1);
  assert.equal(
    all.map(({ discussionId }) => discussionId),
    [...shared.map(() => parentId), id],
  );
  const { data } = await visitor.call<{ data: { number: number; status: string }[] }>(
    'GET',
    `/discussions/${id}/turns`,
  );
  assert.equal(
    data.map(({ number, status }) => [number, status]),
    Array.from({ length: TURNS + 1 }, (_, i) => [i + 1, 'completed']),
  );
}

async function concluded(visitor: Visitor, id: string): Promise<void> {
  while ((await visitor.call<{ status: string }>('GET', `/discussions/${id}`)).status !== 'concluded') await delay(200);
}

async function until(visitor: Visitor, body: object, good: (found: Found) => boolean): Promise<Found> {
  for (;;) {
    const found = await visitor.call<Found>('POST', '/search', body);
    if (good(found)) return found;
    await delay(200);
  }
}
