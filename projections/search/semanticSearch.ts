/** The half of the search that compares meanings. */
import { chunksOf } from '../../domain/meaning/chunker.ts';
import type { Embedder, Vector } from '../../domain/meaning/embedder.ts';
import type { VectorIndex } from '../../domain/meaning/vectorIndex.ts';
import type { Clock } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { Found, PassageSearch, SearchParts, Wanted } from './passageSearch.ts';
import { checkModel } from '../vectors/versions.ts';

type Parts = Pick<SearchParts, 'embedder' | 'index' | 'clock'> & { readonly live: NonNullable<SearchParts['live']> };
type Live = NonNullable<Awaited<ReturnType<Parts['live']>>>;

const EMBED_MS = 10_000;
const SEARCH_MS = 5_000;
/** Vectors of the latest queries that are kept: whoever pages or filters asks the same thing again. */
const KEPT_VECTORS = 200;

/**
 * Searches the live index with the model that its vectors were made with, never with another one. A swap between the look
 * at the pointer and the search may drop the collection: then the pointer is looked at once more.
 */
export function createSemanticSearch(parts: Parts): PassageSearch['semantic'] {
  const vectorOf = createQueryVectors(parts);
  const searchIn = async (live: Live, wanted: Wanted, signal: AbortSignal): Promise<Found> => {
    const vector = await vectorOf(live, wanted.query, signal);
    const { filter, limit } = wanted;
    const late = `the vector store did not answer within ${SEARCH_MS / 1000} s: try again, or search by keyword`;
    const hits = await within(parts.clock, { ms: SEARCH_MS, signal, late }, (soon) =>
      parts.index(live.store).search(live.version, { vector, filter, limit }, { signal: soon }),
    );
    return { hits, model: live.model };
  };
  return async (wanted, { signal }) => {
    const live = await liveOf(parts);
    try {
      return await searchIn(live, wanted, signal);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
    const swapped = await liveOf(parts);
    return await searchIn(swapped, wanted, signal).catch((error: unknown) => {
      throw isGone(error) ? refilling(error) : error;
    });
  };
}

function isGone(error: unknown): boolean {
  return error instanceof Refusal && error.code === 'conflict';
}

function refilling(cause: unknown): Refusal {
  return new Refusal(
    'unavailable',
    'the vectors are gone from their store: the index is being filled again, or is after `colloquy projections rebuild embeddings`; search by keyword meanwhile',
    { cause },
  );
}

async function liveOf({ live, index }: Parts): Promise<Live> {
  const found = await live();
  if (found !== null) return found;
  await requireStore(index);
  throw new Refusal(
    'unavailable',
    'there are no vectors yet: `colloquy projections list` shows how far they are; search by keyword meanwhile',
  );
}

/** A store that cannot be used is why there is no index; it says itself what to do. @throws Refusal. */
async function requireStore(index: Parts['index']): Promise<void> {
  let store: VectorIndex;
  try {
    store = index('weaviate');
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    store = index('pgvector');
  }
  await store.versions();
}

/** The vector of a query for the model of an index. */
function createQueryVectors({ embedder, clock }: Parts) {
  const kept = new Map<string, Vector>();
  return async (live: Live, query: string, signal: AbortSignal): Promise<Vector> => {
    const late = `the model that embeds did not answer within ${EMBED_MS / 1000} s: try again, or search by keyword`;
    const model = embedder(live.model);
    const key = JSON.stringify([live.model, live.digest, query]);
    return await within(clock, { ms: EMBED_MS, signal, late }, async (soon) => {
      checkModel(live, await model.describe({ signal: soon }));
      const vector = kept.get(key) ?? (await embedded(model, query, soon));
      kept.delete(key);
      kept.set(key, vector);
      const [oldest] = kept.keys();
      if (oldest !== undefined && kept.size > KEPT_VECTORS) kept.delete(oldest);
      return vector;
    });
  };
}

/** A query may be longer than what a model takes at once: then the mean of its parts stands for it. */
async function embedded(model: Embedder, query: string, signal: AbortSignal): Promise<Vector> {
  const texts = chunksOf(query).map(({ starts, ends }) => query.slice(starts, ends));
  const [first, ...more] = await model.embed(texts, { signal });
  if (first === undefined) throw new Refusal('invalid', 'there is nothing in the query to look for');
  if (more.length === 0) return first;
  const sum = first.map((value, i) => more.reduce((total, vector) => total + (vector[i] ?? 0), value));
  const length = Math.hypot(...sum);
  return length === 0 ? first : sum.map((value) => value / length);
}

/** Bounds what others bound, too: whoever waits here is never left alone. */
async function within<T>(
  clock: Clock,
  { ms, signal, late }: { ms: number; signal: AbortSignal; late: string },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const soon = AbortSignal.any([signal, over.signal]);
  const timer = async (): Promise<never> => {
    await clock.sleep(ms, soon);
    signal.throwIfAborted();
    throw new Refusal('unavailable', late);
  };
  try {
    return await Promise.race([work(soon), timer()]);
  } finally {
    over.abort('settled');
  }
}
