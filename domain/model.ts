import { z } from 'zod';

/** Why an attempt ended; one closed list for every provider. */
export const stopReasons = [
  'end_turn',
  'max_tokens',
  'stop_phrase',
  'error',
  'refused',
  'time_out',
  'cancelled',
  'budget_exhausted',
  'lease_lost',
  'invalid_output',
] as const;
export type StopReason = (typeof stopReasons)[number];

export const providers = ['offline', 'ollama', 'openai', 'anthropic', 'external'] as const;

/**
 * Sampling parameters, checked before they are sent: Ollama answers wrong types with 500 and takes unknown or
 * out-of-range ones in silence. `num_predict` 0 and negatives mean "no limit" there, so they are refused.
 */
export const parametersSchema = z.strictObject({
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().gt(0).max(1).optional(),
  top_k: z.number().int().min(1).max(1000).optional(),
  seed: z.number().int().min(0).max(2_147_483_647).optional(),
  /** Context in tokens; always the same for one model, since another value reloads it. */
  num_ctx: z.number().int().min(256).max(1_048_576).optional(),
  /** Most tokens to write. */
  num_predict: z.number().int().min(1).max(32_768).optional(),
  stop: z.array(z.string().min(1).max(100)).max(8).optional(),
  /** `json`, or a JSON schema. */
  format: z.union([z.literal('json'), z.record(z.string(), z.json())]).optional(),
});
export type ModelParameters = z.infer<typeof parametersSchema>;

export interface PromptMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export interface Deadlines {
  /** From the call to the first byte of the answer (a cold local model reads for a long time in silence). */
  readonly firstByteMs: number;
  /** Between two chunks. */
  readonly chunkMs: number;
  readonly totalMs: number;
}

export interface GenerateRequest {
  readonly model: string;
  readonly messages: readonly PromptMessage[];
  readonly parameters: ModelParameters;
  readonly deadlines: Deadlines;
}

export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** `reported` by the provider, or `estimated` by us because it did not say. */
  readonly source: 'reported' | 'estimated';
}

export type ModelEvent =
  | { readonly type: 'text'; readonly text: string }
  | {
      readonly type: 'done';
      readonly finishReason: 'end_turn' | 'max_tokens' | 'stop_phrase' | 'refused';
      readonly usage: Usage;
    };

export interface ModelDescription {
  readonly provider: string;
  readonly name: string;
  /** What exactly answers under that name; null when the provider does not say. */
  readonly digest: string | null;
  /** Largest context in tokens. */
  readonly contextTokens: number;
  /** Context in tokens that is used when an agent does not say. */
  readonly defaultContextTokens: number;
  /** Texts that the model's template reads as control: broken up wherever a participant writes them. */
  readonly controlTokens: readonly string[];
}

/** An attempt that gave no answer. */
export class ModelFailure extends Error {
  readonly reason: Exclude<StopReason, 'end_turn' | 'max_tokens' | 'stop_phrase'>;
  /** Whether another attempt may succeed. */
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  /** The prompt is longer than the model's context: the next attempt halves its window. */
  readonly promptTooLong: boolean;
  readonly usage: Usage | undefined;

  /** @param message shown to operators and stored in the log: no paths, addresses or secrets of the provider. */
  constructor(
    reason: ModelFailure['reason'],
    message: string,
    options: {
      retryable?: boolean;
      retryAfterMs?: number;
      promptTooLong?: boolean;
      usage?: Usage;
      cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ModelFailure';
    this.reason = reason;
    this.retryable = options.retryable ?? true;
    this.retryAfterMs = options.retryAfterMs;
    this.promptTooLong = options.promptTooLong ?? false;
    this.usage = options.usage;
  }
}

/** A model that a server keeps. */
export interface StoredModel {
  readonly provider: string;
  readonly name: string;
  readonly digest: string | null;
  readonly sizeBytes: number | null;
}
