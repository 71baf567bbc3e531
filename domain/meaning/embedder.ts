/** What turns texts into vectors. */

/** What an index belongs to: vectors of two models cannot be compared. */
export interface EmbeddingModel {
  /** As the setting EMBEDDER names it: `builtin`, `ollama:all-minilm`. */
  readonly name: string;
  /** Of its weights, where the provider tells: another one under the same name is another model. */
  readonly digest: string | null;
  readonly dimensions: number;
}

/** Finite numbers, of length 1. */
export type Vector = readonly number[];

/**
 * A model that embeds texts.
 *
 * `embed` gives a vector of `dimensions` numbers for each text, in order; the same text gives the same vector. No texts
 * give no vectors. It rejects with `Refusal('invalid')`, not retryable, when a text of the call can never be embedded
 * (empty, too long for the model): whoever gave several tries them one by one. A failure of anything else (server away, late, answers that are none: another
 * number of vectors, other dimensions, numbers that are not finite) rejects with `Refusal('unavailable')`, retryable.
 * Texts are never cut in silence. How many go to the model at once is the adapter's to bound; calls at the same time wait for each other.
 * Aborting the signal rejects with its reason and stops the provider's work; deadlines of the adapter's hold besides.
 * `describe` tells the model, from memory once it was answered; it rejects with `Refusal('unavailable')` when it is not to
 * be had, with `Refusal('invalid')` for a model that cannot embed.
 */
export interface Embedder {
  describe(options: { signal: AbortSignal }): Promise<EmbeddingModel>;
  embed(texts: readonly string[], options: { signal: AbortSignal }): Promise<readonly Vector[]>;
  close(): Promise<void>;
}
