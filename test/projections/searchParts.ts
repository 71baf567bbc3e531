/** What a search by meaning asks of others, each under the test's hand. */
import type { Embedder, Vector } from '../../domain/meaning/embedder.ts';
import type { PassageHit, VectorIndex } from '../../domain/meaning/vectorIndex.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { SearchParts } from '../../projections/search/passageSearch.ts';

export type LiveIndex = NonNullable<Awaited<ReturnType<NonNullable<SearchParts['live']>>>>;
type Searching = VectorIndex['search'];

/** An index as the database names it. */
export const liveOf = (more: Partial<LiveIndex> = {}): LiveIndex => ({
  version: 1,
  store: 'pgvector',
  model: 'builtin',
  digest: 'sha256:1',
  dimensions: 2,
  chunker: 'c1',
  ...more,
});

export interface FakeEmbedder extends Embedder {
  /** Every text it was given, call by call. */
  readonly asked: string[][];
}

/** @param embed gives the vector of one text. */
export function fakeEmbedder(
  embed: (text: string, signal: AbortSignal) => Vector | Promise<Vector> = () => [1, 0],
  described: { digest?: string | null; dimensions?: number } = {},
): FakeEmbedder {
  const asked: string[][] = [];
  return {
    asked,
    describe: () => Promise.resolve({ name: 'builtin', digest: 'sha256:1', dimensions: 2, ...described }),
    embed(texts, { signal }) {
      asked.push([...texts]);
      return Promise.all(texts.map(async (text) => await embed(text, signal)));
    },
    close: () => Promise.resolve(),
  };
}

export interface FakeIndex extends VectorIndex {
  /** What it was asked, search by search. */
  readonly asked: { version: number; vector: Vector; filter: Parameters<Searching>[1]['filter']; limit: number }[];
}

/** A store that is searched and nothing else. @param search the hits of a version; throws as a store does. */
export function fakeIndex(
  search: (version: number, signal: AbortSignal) => readonly PassageHit[] | Promise<readonly PassageHit[]> = () => [],
  usable: () => void = () => undefined,
): FakeIndex {
  const asked: FakeIndex['asked'] = [];
  const never = () => Promise.reject(new Error('a search does nothing but search'));
  return {
    store: 'pgvector',
    asked,
    async search(version, { vector, filter, limit }, { signal }) {
      asked.push({ version, vector, filter, limit });
      return [...(await search(version, signal))].slice(0, limit);
    },
    async versions() {
      usable();
      return Promise.resolve([]);
    },
    ...{ create: never, put: never, remove: never, vectors: never, unfindable: never, complete: never, drop: never },
    async describe() {
      usable();
      return Promise.resolve(null);
    },
    async *list() {
      yield await never();
    },
    incarnation: () => Promise.resolve(null),
    watch: () => undefined,
    close: () => Promise.resolve(),
  };
}

/** What a store says of a collection that was dropped. */
export const gone = (): never => {
  throw new Refusal('conflict', 'the collection of version 1 is gone');
};

/** The stores that are set up: those given. */
export const stores =
  (set: Partial<Record<VectorIndex['store'], VectorIndex>>): SearchParts['index'] =>
  (store) => {
    const index = set[store];
    if (index === undefined) throw new Refusal('unavailable', `${store} is not set up`, { retryable: false });
    return index;
  };
