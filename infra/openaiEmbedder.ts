/** OpenAI, and every server that speaks its `/embeddings`, as an `Embedder`. */
import { z } from 'zod';
import type { Embedder } from '../domain/meaning/embedder.ts';
import { ModelFailure } from '../domain/model.ts';
import type { Clock } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { checkModelName } from './modelAttempts.ts';
import type { CallLimits } from './modelDeadlines.ts';
import { brokenCall, saysNoModel } from './modelFailures.ts';
import { createModelTransport } from './modelTransport.ts';
import { createEmbedder } from './modelVectors.ts';
import { openAiServer, type OpenAiServer } from './openai.ts';

export interface OpenAiEmbedderOptions {
  /** The operator's, never a request's: `https://api.openai.com/v1`. */
  readonly baseUrl: string;
  /** None for a server that asks for none. */
  readonly apiKey?: string;
  readonly clock: Clock;
  readonly model: string;
  /** Of one batch. */
  readonly limits?: CallLimits;
}

const BATCH = 16;
const LIMITS = { connectMs: 5_000, firstByteMs: 60_000, chunkMs: 30_000, totalMs: 90_000 };
/** 16 vectors of 4,096 numbers of 20 characters are 1.3 MB. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

const answerSchema = z.object({
  data: z.array(z.object({ index: z.number().int().optional(), embedding: z.unknown() })),
});
/** In the words of llama.cpp (500), TEI (413) and what passes Ollama's errors on; OpenAI's own are known already. */
const OF_THE_TEXT = /too large to process|must have less than|unsupported value: NaN/i;
const CANNOT_EMBED = /not support (the )?embedding|not allowed to generate embeddings/i;

/** With what the server said, which must not be shown. */
class FailedCall extends Error {
  readonly failure: ModelFailure;
  readonly status: number | undefined;
  readonly said: string;

  constructor(failure: ModelFailure, answered: { status: number; said: string } | null) {
    super(failure.message);
    this.failure = failure;
    this.status = answered?.status;
    this.said = answered?.said ?? '';
  }
}

/** Nothing is loaded or asked before the first call. @throws Refusal `invalid` for a base URL or key that cannot be used. */
export function createOpenAiEmbedder(options: OpenAiEmbedderOptions): Embedder {
  const server = openAiServer(options);
  const { model } = options;
  return createEmbedder({
    label: server.label,
    batch: BATCH,
    async describe() {
      checkModelName(model);
      return { name: `openai:${model}`, digest: null, dimensions: null };
    },
    ask: (texts, signal) => ask(server, options, texts, signal),
    blamesText: (error) =>
      error instanceof FailedCall &&
      (error.failure.promptTooLong ||
        error.failure.reason === 'refused' ||
        error.status === 413 ||
        OF_THE_TEXT.test(error.said)),
    refusalOf: (error) => refusalOf(error, model),
    close: async () => undefined,
  });
}

async function ask(
  { label, headers, clientFor }: OpenAiServer,
  { model, clock, limits = LIMITS }: OpenAiEmbedderOptions,
  texts: readonly string[],
  signal: AbortSignal,
): Promise<unknown> {
  const sdk = await import('openai');
  const transport = createModelTransport({
    label,
    headers,
    clock,
    signals: [signal],
    limits,
    answer: 'document',
    maxBytes: MAX_ANSWER_BYTES,
  });
  try {
    // Without a format the SDK asks for base64, which not every server knows.
    const request = { model, input: [...texts], encoding_format: 'float' as const };
    const answer = answerSchema.safeParse(await clientFor(sdk, transport.fetch).embeddings.create(request));
    // The order is the server's own; `index` tells whose vector it is.
    const rows = answer.data?.data.map(({ index, embedding }, at) => ({ index: index ?? at, embedding })) ?? [];
    rows.sort((a, b) => a.index - b.index);
    if (!answer.success || rows.some(({ index }, at) => index !== at))
      throw new ModelFailure('invalid_output', `${label} answered with something else than a vector for each text`);
    return rows.map(({ embedding }) => embedding);
  } catch (error) {
    const failure = transport.failure() ?? brokenCall(label, error, transport.worked());
    throw new FailedCall(failure, transport.answered());
  } finally {
    transport.close();
  }
}

function refusalOf(error: unknown, model: string): Refusal {
  if (error instanceof FailedCall) {
    if (CANNOT_EMBED.test(error.said))
      return new Refusal('invalid', 'the model cannot embed: take one made for it, such as text-embedding-3-small');
    const { message, retryAfterMs } = error.failure;
    if (error.status !== undefined && saysNoModel(error.status, error.said))
      return new Refusal('unavailable', `${message} ${model}: set EMBEDDER to one that it has`);
    return new Refusal('unavailable', message, retryAfterMs === undefined ? {} : { retryAfterMs });
  }
  return error instanceof ModelFailure
    ? new Refusal('invalid', error.message)
    : new Refusal('unavailable', 'the SDK of OpenAI cannot be loaded: install the packages again');
}
