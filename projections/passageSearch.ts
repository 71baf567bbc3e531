/** Finds passages by their words, by their meaning, or by both. */
import type { PassageFilter, PassageHit } from '../domain/meaning/vectorIndex.ts';

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
