/** A model of words: what shares words is near. Deterministic, and under the test's hand. */
import { createHash } from 'node:crypto';
import type { Embedder, EmbeddingModel, Vector } from '../../domain/meaning/embedder.ts';
import { Refusal } from '../../domain/refusal.ts';

export interface WordEmbedder extends Embedder {
  readonly model: EmbeddingModel;
  /** It cannot be asked. */
  away: boolean;
  /** Texts that hold this can never be embedded. */
  refuses: string | null;
  /** Awaited before each answer. */
  slow: () => Promise<void>;
  /** Texts it has embedded. */
  embedded: number;
  calls: number;
}

/** @param model what it says of itself. */
export function wordEmbedder(model: Partial<EmbeddingModel> = {}): WordEmbedder {
  const described = { name: 'builtin', digest: 'sha256:1', dimensions: 64, ...model };
  const words: WordEmbedder = {
    ...{ model: described, away: false, refuses: null, embedded: 0, calls: 0 },
    slow: () => Promise.resolve(),
    async describe() {
      if (words.away) throw away();
      return Promise.resolve(described);
    },
    async embed(texts, { signal }) {
      words.calls += 1;
      await words.slow();
      signal.throwIfAborted();
      if (words.away) throw away();
      const { refuses } = words;
      if (refuses !== null && texts.some((text) => text.includes(refuses)))
        throw new Refusal('invalid', 'the model cannot embed this text', { retryable: false });
      words.embedded += texts.length;
      return texts.map((text) => vectorOf(text, described.dimensions));
    },
    close: () => Promise.resolve(),
  };
  return words;
}

function away(): Refusal {
  return new Refusal('unavailable', 'the model is away', { retryable: true });
}

/** The vector of a text, of length 1 in single precision. */
export function vectorOf(text: string, dimensions = 64): Vector {
  const sums = Array.from({ length: dimensions }, () => 0);
  for (const word of ['', ...(text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])]) {
    const hash = createHash('sha256').update(word).digest();
    // Several numbers for each word, so that different texts differ.
    for (let i = 0; i < 8; i += 2) {
      const at = (hash[i] ?? 0) % dimensions;
      sums[at] = (sums[at] ?? 0) + ((hash[i + 1] ?? 0) - 127.5) / 127.5;
    }
  }
  const length = Math.hypot(...sums);
  return Array.from(Float32Array.from(sums, (sum) => sum / length));
}
