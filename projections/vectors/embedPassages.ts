import type { Embedder } from '../../domain/meaning/embedder.ts';
import type { Passage, VectorObject } from '../../domain/meaning/vectorIndex.ts';
import { Refusal } from '../../domain/refusal.ts';

/** Passages embedded in one call: an abort and a deadline are felt between calls. */
const AT_ONCE = 64;

export interface Embedded {
  readonly objects: readonly VectorObject[];
  /** Passages that the model cannot embed, with why. */
  readonly failed: readonly { readonly passage: Passage; readonly error: string }[];
}

/**
 * Vectors of passages. One that cannot be embedded is found by halving and fails alone.
 * @throws Refusal `unavailable` when the model cannot be asked now.
 */
export async function embedPassages(
  embedder: Embedder,
  passages: readonly Passage[],
  signal: AbortSignal,
): Promise<Embedded> {
  const objects: VectorObject[] = [];
  const failed: { passage: Passage; error: string }[] = [];
  const embed = async (some: readonly Passage[]): Promise<void> => {
    signal.throwIfAborted();
    try {
      const vectors = await embedder.embed(
        some.map(({ text }) => text),
        { signal },
      );
      for (const [i, passage] of some.entries()) objects.push({ passage, vector: vectors[i] ?? [] });
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== 'invalid') throw error;
      const [only] = some;
      if (only === undefined || some.length === 1) {
        if (only !== undefined) failed.push({ passage: only, error: error.message });
        return;
      }
      const half = Math.ceil(some.length / 2);
      await embed(some.slice(0, half));
      await embed(some.slice(half));
    }
  };
  for (let i = 0; i < passages.length; i += AT_ONCE) await embed(passages.slice(i, i + AT_ONCE));
  return { objects, failed };
}
