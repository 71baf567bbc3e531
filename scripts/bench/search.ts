/** Rows about the stores of vectors: what an import and a search cost through our port, beside the store asked by hand. */
import { setTimeout as delay } from 'node:timers/promises';
import type { PassageFilter, VectorObject } from '../../domain/meaning/vectorIndex.ts';
import { VECTOR_BATCH } from '../../projections/vectors/writer.ts';
import { weaviateForTests } from '../../test/services.ts';
import { compare, percentile, ratioAtLeast, type Measured, type Report } from './measure.ts';
import { describeServer, openPlace } from './place.ts';
import { openPgvectorStore } from './searchPgvector.ts';
import type { SearchStore } from './searchStores.ts';
import { openWeaviateStore } from './searchWeaviate.ts';
import { LIMIT, recallOf, searchWorld, SPEC, type SearchWorld } from './searchWorld.ts';

const FULL = { chunks: 10_000, queries: 100, imported: 10_000, imports: 3, rounds: 5, forMs: 1_000 };
const QUICK = { chunks: 1_000, queries: 20, imported: 1_000, imports: 1, rounds: 3, forMs: 300 };
const CALLERS = [1, 16];
const MOST_RATIO = 1.5;
const LEAST_RECALL = 0.95;
/** The version that is searched; imports are measured in others. */
const SEARCHED = 1;

export interface SearchBench {
  /** A server's URL; null for none. */
  readonly server: string | null;
  /** All there are unless given. */
  readonly only: string | undefined;
  readonly quick: boolean;
  readonly reporting: (place: string) => Report;
}

/** Measures every store there is. @returns which those were. */
export async function searchRows({ server, only, quick, reporting }: SearchBench): Promise<string[]> {
  const notes: string[] = [];
  const size = quick ? QUICK : FULL;
  const world = searchWorld(size.chunks, size.queries);
  const wanted = (name: string) => only === undefined || only === name;
  const onPlace = async (name: string, url: string | null): Promise<void> => {
    const place = await openPlace(url, quick);
    const open = () => openPgvectorStore(place, Math.max(...CALLERS));
    // The one session makes the index while it writes: all would take minutes.
    const imported = url === null ? Math.min(size.imported, 2_000) : size.imported;
    await storeRows(reporting(name), open, world, { ...size, imported }).finally(() => place.stop());
  };
  if (wanted('embedded')) {
    notes.push('embedded: pgvector in PGlite, durable, in a thread');
    await onPlace('embedded', null);
  }
  if (wanted('postgres') && server !== null) {
    notes.push(`postgres: pgvector in ${await describeServer(server)}`);
    await onPlace('postgres', server);
  }
  if (!wanted('weaviate')) return notes;
  const weaviate = await weaviateForTests();
  notes.push(weaviate?.description ?? 'no Weaviate: set TEST_WEAVIATE_URL, or put weaviate-server on PATH');
  if (weaviate === null) return notes;
  const open = () => Promise.resolve(openWeaviateStore(weaviate.url));
  await storeRows(reporting('weaviate'), open, world, size).finally(() => weaviate.stop());
  return notes;
}

async function storeRows(
  report: Report,
  open: () => Promise<SearchStore>,
  world: SearchWorld,
  size: typeof FULL,
): Promise<void> {
  let store: SearchStore | null = null;
  try {
    const opened = (store = await open());
    const objects = world.objects.slice(0, size.imported);
    const apart = opened.raw.complete !== null;
    const row = `import of ${objects.length.toLocaleString('en')}`;
    await report(`${row}, ${apart ? 'no' : 'with its'} index`, () => importRow(opened, objects, size.imports, false));
    if (apart) await report(`${row}, then the index`, () => importRow(opened, objects, size.imports, true));
    await fill(opened, SEARCHED, world.objects);
    for (const [name, filter] of Object.entries(world.filters)) {
      const recall = await recallsOf(opened, world, filter);
      for (const callers of CALLERS)
        await report(`search, ${name}, ${callers} at once, p50`, () =>
          searchRow(opened, world, filter, { ...size, callers, recall }),
        );
    }
  } catch (error) {
    await report('all rows', () => Promise.reject(error instanceof Error ? error : new Error(String(error))));
  } finally {
    await store?.close();
  }
}

/** Chunks a second; both sides get as many at once as the embedding worker sends. */
async function importRow(
  { index, raw }: SearchStore,
  objects: readonly VectorObject[],
  rounds: number,
  indexToo: boolean,
): Promise<Measured> {
  let version = SEARCHED;
  const perSecond = async (import_: () => Promise<void>): Promise<number> => {
    const started = performance.now();
    await import_();
    return (objects.length * 1000) / (performance.now() - started);
  };
  const ours = async (): Promise<number> => {
    await index.create((version += 1), SPEC);
    return await perSecond(async () => {
      for (const some of batches(objects)) await index.put(version, some);
      if (indexToo) await index.complete(version);
    }).finally(() => index.drop(version));
  };
  const floor = async (): Promise<number> => {
    await raw.create((version += 1));
    return await perSecond(async () => {
      for (const some of batches(objects)) await raw.put(version, some);
      if (indexToo) await raw.complete?.(version);
    }).finally(() => raw.drop(version));
  };
  const result = await compare(rounds, ours, floor);
  return { ...result, unit: 'chunks/s', target: ratioAtLeast(0.8, result.ratio) };
}

async function fill({ index }: SearchStore, version: number, objects: readonly VectorObject[]): Promise<void> {
  await index.create(version, SPEC);
  for (const some of batches(objects)) await index.put(version, some);
  await index.complete(version);
}

interface Recalls {
  readonly ours: number;
  readonly floor: number;
}

/** Of both ways, against an exact search. */
async function recallsOf({ index, raw }: SearchStore, world: SearchWorld, filter: PassageFilter): Promise<Recalls> {
  const ours: Set<string>[] = [];
  const floor: Set<string>[] = [];
  const { signal } = new AbortController();
  for (const vector of world.queries) {
    const wanted = { vector, filter, limit: LIMIT };
    const hits = await index.search(SEARCHED, wanted, { signal });
    ours.push(new Set(hits.map(({ passage }) => passage.passageId)));
    floor.push(new Set(await raw.search(SEARCHED, wanted)));
  }
  const recalls = { ours: recallOf(world, filter, ours), floor: recallOf(world, filter, floor) };
  // That took seconds: connections that were closed meanwhile are noticed before they are used again.
  await delay(100);
  return recalls;
}

async function searchRow(
  { index, raw }: SearchStore,
  { queries }: SearchWorld,
  filter: PassageFilter,
  { rounds, forMs, callers, recall }: typeof FULL & { callers: number; recall: Recalls },
): Promise<Measured> {
  const all = { ours: [] as number[], floor: [] as number[] };
  const wanted = (i: number) => ({ vector: queries[i % queries.length] ?? [], filter, limit: LIMIT });
  const p50 = async (kept: number[], search: (i: number) => Promise<unknown>): Promise<number> => {
    const times = await timesOf(callers, forMs, search);
    kept.push(...times);
    return percentile(times, 50);
  };
  const result = await compare(
    rounds,
    () => p50(all.ours, (i) => index.search(SEARCHED, wanted(i), { signal: new AbortController().signal })),
    () => p50(all.floor, (i) => raw.search(SEARCHED, wanted(i))),
  );
  const p99 = `p99 ${percentile(all.ours, 99).toFixed(1)} ms, floor ${percentile(all.floor, 99).toFixed(1)}`;
  return {
    ...result,
    unit: 'ms',
    target: {
      says: `≤ ${MOST_RATIO} × floor, recall ≥ ${LEAST_RECALL}`,
      holds: result.ratio <= MOST_RATIO && recall.ours >= LEAST_RECALL,
    },
    note: `recall@${LIMIT} ${recall.ours.toFixed(3)}, floor ${recall.floor.toFixed(3)}; ${p99}`,
  };
}

/** Milliseconds of each call, with so many callers at once. */
async function timesOf(callers: number, forMs: number, work: (i: number) => Promise<unknown>): Promise<number[]> {
  const until = performance.now() + forMs;
  const times: number[] = [];
  let calls = 0;
  const loop = async (): Promise<void> => {
    while (performance.now() < until) {
      const started = performance.now();
      await work((calls += 1));
      times.push(performance.now() - started);
    }
  };
  await Promise.all(Array.from({ length: callers }, loop));
  return times;
}

function* batches(objects: readonly VectorObject[]): Generator<readonly VectorObject[]> {
  for (let at = 0; at < objects.length; at += VECTOR_BATCH.events) yield objects.slice(at, at + VECTOR_BATCH.events);
}
