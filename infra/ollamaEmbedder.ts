/** Ollama as an `Embedder`. Its traps about embedding (O3, O18) stand in test/infra/ollamaEmbedder.test.ts. */
import { z } from 'zod';
import type { Embedder } from '../domain/meaning/embedder.ts';
import type { Clock } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { createEmbedder } from './modelVectors.ts';
import { askOllama, checkedBaseUrl, DEFAULT_NUM_CTX, unlessAborted } from './ollamaAsk.ts';
import type { OllamaLimits } from './ollamaDeadlines.ts';
import { createFactsCache, parsed } from './ollamaFacts.ts';
import { faultOf, OllamaFault, refusalOf } from './ollamaFault.ts';
import { checkModelName } from './ollamaParameters.ts';

export interface OllamaEmbedderOptions {
  /** The operator's, never a request's: `http://127.0.0.1:11434`. */
  readonly baseUrl: string;
  readonly clock: Clock;
  readonly model: string;
  /** How long the server keeps the model after its last call (30 minutes). */
  readonly keepAliveMs?: number;
  /** Of one batch, from when it is sent. A server that has room for one model ends a running chat first. */
  readonly limits?: OllamaLimits;
  readonly loadLimits?: OllamaLimits;
}

/**
 * A search waits for the batch before it, and on a CPU more in one gain little: 32 took a sixth less time than one by one, and
 * a text of 640 characters 0.7 s of CPU (all-minilm).
 */
const BATCH = 4;
const LOAD_MS = 600_000;
const DEFAULTS = {
  keepAliveMs: 1_800_000,
  limits: { connectMs: 5_000, firstByteMs: 120_000, chunkMs: 30_000, totalMs: 150_000 },
  loadLimits: { connectMs: 5_000, firstByteMs: LOAD_MS, chunkMs: LOAD_MS, totalMs: LOAD_MS },
};

const embedSchema = z.object({ embeddings: z.unknown() });
/** Of the second kind are texts for which a model's arithmetic fails, each time: bge-m3 is known for it. */
const OF_THE_TEXT = /input length exceeds the context length|unsupported value: NaN/i;

/** Nothing is asked before the first call. @throws Refusal `invalid` for a base URL that cannot be used. */
export function createOllamaEmbedder(options: OllamaEmbedderOptions): Embedder {
  const { model, clock, keepAliveMs, limits, loadLimits } = { ...DEFAULTS, ...options };
  const server = { baseUrl: checkedBaseUrl(options.baseUrl), clock, numCtx: DEFAULT_NUM_CTX };
  const closed = new AbortController();
  const facts = createFactsCache(server, closed.signal);
  const settings = { model, truncate: false, keep_alive: `${keepAliveMs}ms` };
  let digest: string | null = null;
  let warmUntil = -Infinity;
  let loading: Promise<void> | null = null;
  const load = async (): Promise<void> => {
    await askOllama(server, closed.signal, (client) => client.embed({ ...settings, input: [] }), loadLimits);
    warmUntil = clock.monotonic() + keepAliveMs;
  };
  // One load serves all who wait and goes on when they leave: the server throws an aborted one away (O3).
  const ready = async (signal: AbortSignal): Promise<void> => {
    if (warmUntil > clock.monotonic()) return;
    loading ??= load().finally(() => (loading = null));
    loading.catch(() => undefined);
    await unlessAborted(loading, signal);
  };
  return createEmbedder({
    label: 'Ollama',
    batch: BATCH,
    async describe(signal) {
      checkModelName(model);
      const { capabilities, description } = await facts.of(model, signal);
      // A chat model answers too, with vectors that mean little (O18).
      if (capabilities.length > 0 && !capabilities.includes('embedding'))
        throw new OllamaFault('invalid', 'the model of Ollama cannot embed: take one made for it, such as all-minilm');
      digest = description.digest;
      return { name: `ollama:${model}`, digest, dimensions: null };
    },
    async ask(texts, signal) {
      const { description } = await facts.of(model, signal);
      if (description.digest !== digest)
        throw new Refusal(
          'unavailable',
          'Ollama has another model of that name by now: start again to rebuild the index',
        );
      await ready(signal);
      warmUntil = -Infinity;
      const request = { ...settings, input: [...texts] };
      const answer = await askOllama(server, signal, (client) => client.embed(request), limits);
      warmUntil = clock.monotonic() + keepAliveMs;
      return parsed(embedSchema, answer).embeddings;
    },
    blamesText: (error) => error instanceof OllamaFault && error.kind === 'status' && OF_THE_TEXT.test(error.said),
    refusalOf: (error) => refusalOf(faultOf(error)),
    close: async () => closed.abort(),
  });
}
