/** Finds passages by their words, by their meaning, or by both. */
import type { Knex } from 'knex';
import type { Embedder } from '../../domain/meaning/embedder.ts';
import { fuse } from '../../domain/meaning/fusion.ts';
import type { PassageFilter, PassageHit, VectorIndex } from '../../domain/meaning/vectorIndex.ts';
import type { Clock } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import { highlightsOf, keywordQueries } from './keywordSearch.ts';
import { createSemanticSearch } from './semanticSearch.ts';
import { liveIndex } from '../vectors/indexes.ts';

export interface Found {
  /** Best first. */
  readonly hits: readonly PassageHit[];
  /** The model whose vectors were compared; null where only words were. */
  readonly model: string | null;
}

/** Text, what it is to be looked for in, and how many at most. */
export interface Wanted {
  readonly query: string;
  readonly filter: PassageFilter;
  /** 1 to 1,000. */
  readonly limit: number;
}

/**
 * All reject with `Refusal`: `unavailable` when the model, the index or the database cannot be asked now, with what to do.
 */
export interface PassageSearch {
  /** Scores are cosine similarities. */
  semantic(wanted: Wanted, options: { signal: AbortSignal }): Promise<Found>;
  /** Scores are ranks of PostgreSQL's full text search. */
  keyword(wanted: Wanted, options: { signal: AbortSignal }): Promise<Found>;
  /** Both, fused by reciprocal rank; scores are those of the fusion. */
  hybrid(wanted: Wanted, options: { signal: AbortSignal }): Promise<Found>;
}

/** A search for people, who want to see why something was found. */
export interface ShownSearch extends PassageSearch {
  /** Where the words of a query stand in each text: ranges of UTF-16 units, end exclusive, in order. */
  highlights(query: string, texts: readonly string[]): Promise<[number, number][][]>;
}

export interface SearchParts {
  readonly knex: Knex;
  /** By the name an index gives its model. @throws Refusal when there is none of that name. */
  readonly embedder: (name: string) => Embedder;
  /** @throws Refusal when that store is not set up. */
  readonly index: (store: VectorIndex['store']) => VectorIndex;
  readonly clock: Clock;
  /** The index that searches go to; as the database says unless given. */
  readonly live?: () => ReturnType<typeof liveIndex>;
}

/** How far each half looks for what the other one may have found: a place beyond counts next to nothing. */
const FUSED = 50;

/** Searches the live versions of passages and vectors. */
export function createPassageSearch({ knex, embedder, index, clock, live }: SearchParts): ShownSearch {
  const words = keywordQueries(knex);
  const semantic = createSemanticSearch({ live: live ?? (() => inPostgres(liveIndex(knex))), embedder, index, clock });
  const keyword: PassageSearch['keyword'] = async (wanted, { signal }) => ({
    hits: await inPostgres(words.search(wanted, { signal })),
    model: null,
  });
  return {
    semantic,
    keyword,
    async hybrid({ query, filter, limit }, { signal }) {
      const wanted = { query, filter, limit: Math.max(limit, FUSED) };
      const over = new AbortController();
      const options = { signal: AbortSignal.any([signal, over.signal]) };
      try {
        const found = await Promise.all([keyword(wanted, options), semantic(wanted, options)]);
        return {
          hits: fuse(
            found.map(({ hits }) => hits),
            limit,
          ),
          model: found[1].model,
        };
      } finally {
        // When one half fails there is no answer: the other one need not go on.
        over.abort('settled');
      }
    },
    highlights: (query, texts) => inPostgres(highlightsOf(knex, query, texts)),
  };
}

/** What PostgreSQL says of a statement may quote what was looked for, which belongs neither in answers nor in logs. */
async function inPostgres<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const code = failureOf(error);
    if (code === null) throw error;
    throw new Refusal('unavailable', 'the database cannot search now: try again', {
      retryAfterMs: 1_000,
      cause: new Error(`PostgreSQL could not search (${code})`),
    });
  }
}

/** What the database, its driver or knex call the failure; null for what is none of theirs. */
function failureOf(error: unknown): string | null {
  if (error instanceof Refusal) return error.code === 'unavailable' || error.code === 'internal' ? error.code : null;
  if (!(error instanceof Error)) return null;
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error.name === 'KnexTimeoutError' ? error.name : null;
}
