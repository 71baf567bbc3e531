/** A rebuild of ten thousand passages while two callers search: how fast, and whether a search fails or finds nothing. */
import { setTimeout as delay } from 'node:timers/promises';
import { startServiceForTests, type TestService } from '../../test/api/serviceForTests.ts';
import { weaviateForTests } from '../../test/services.ts';
import { startEmbeddingsStandin } from '../../test/standins/embeddings.ts';
import type { Measured, Report } from './measure.ts';

const [DISCUSSIONS, MESSAGES_EACH] = [50, 200];
const CALLERS = 2;
const PAUSE_MS = 20;
const LOOK_MS = 200;
const MODES = ['semantic', 'hybrid', 'keyword'] as const;

/** On a PostgreSQL server, or on Weaviate beside it. The embedder is a stand-in: what is measured are index and searches. */
export async function searchRebuildRows(on: 'postgres' | 'weaviate', report: Report): Promise<void> {
  const standin = await startEmbeddingsStandin();
  const weaviate = on === 'weaviate' ? await weaviateForTests() : null;
  if (on === 'weaviate' && weaviate === null) throw new Error('there is no Weaviate: set TEST_WEAVIATE_URL');
  const service = await startServiceForTests({
    ...{ WORKER_ROLES: 'projector,relay,sweeper,turns,auditor,embedder', EMBEDDER: 'openai:minilm' },
    ...{ OPENAI_BASE_URL: `${standin.url}/v1`, WEAVIATE_URL: weaviate?.url ?? '' },
  });
  try {
    const total = DISCUSSIONS * MESSAGES_EACH;
    console.error(`writing and embedding ${total.toLocaleString('en')} messages …`);
    await fill(service);
    await report('rebuild of 10,000 passages beside searches', () => rebuildBesideSearches(service, total));
  } finally {
    await service.stop();
    await weaviate?.stop();
    await standin.stop();
  }
}

async function fill(on: TestService): Promise<void> {
  const one = async (d: number): Promise<void> => {
    const body = { title: `Number ${d}`, topic: 'Anything', participants: [], policy: { kind: 'manual' } };
    const { id } = field(await on.post('/discussions', body));
    for (let i = 0; i < MESSAGES_EACH; i += 1) {
      const content = `Message ${i} of ${d}: the ${['cat', 'dog', 'bus'][i % 3]} number ${i * d} is ${['late', 'red'][i % 2]}.`;
      field(await on.post(`/discussions/${id}/messages`, { content }));
    }
  };
  await Promise.all(Array.from({ length: DISCUSSIONS }, (_, d) => one(d)));
  while (field(await on.get('/projections/embeddings')).behind !== 0) await delay(LOOK_MS);
}

async function rebuildBesideSearches(on: TestService, total: number): Promise<Measured> {
  const counts = { searches: 0, failed: 0, empty: 0, slowestMs: 0 };
  const over = new AbortController();
  const loop = async (): Promise<void> => {
    for (; !over.signal.aborted; await delay(PAUSE_MS)) {
      const mode = MODES[counts.searches % MODES.length];
      const startedMs = performance.now();
      const { status, body } = await on.post('/search', { query: `the cat number ${counts.searches}`, mode });
      counts.slowestMs = Math.max(counts.slowestMs, performance.now() - startedMs);
      counts.searches += 1;
      if (status !== 200) counts.failed += 1;
      else if ((body as { data: unknown[] }).data.length === 0) counts.empty += 1;
    }
  };
  const startedMs = performance.now();
  const { id } = field(await on.post('/projections/embeddings/rebuild', { fast: true }));
  const loops = Array.from({ length: CALLERS }, loop);
  let status = 'running';
  for (; status === 'running'; await delay(LOOK_MS)) ({ status } = field(await on.get(`/operations/${id}`)));
  const tookMs = performance.now() - startedMs;
  over.abort();
  await Promise.all(loops);
  if (status !== 'succeeded') throw new Error(`the rebuild ${status}`);
  const { searches, failed, empty, slowestMs } = counts;
  return {
    ...{ unit: 'passages/s', ours: (total * 1000) / tookMs, floor: null, ratio: null },
    target: { says: 'no search failed or empty', holds: failed + empty === 0 },
    note: `${(tookMs / 1000).toFixed(0)} s; ${searches} searches, ${failed} failed, ${empty} empty, slowest ${slowestMs.toFixed(0)} ms`,
  };
}

interface Fields {
  readonly id: string;
  readonly behind: number;
  readonly status: string;
}

/** @throws Error for what is no success. */
function field({ status, body }: { status: number; body: unknown }): Fields {
  if (status >= 300) throw new Error(`it answered ${status}: ${JSON.stringify(body)}`);
  return body as Fields;
}
