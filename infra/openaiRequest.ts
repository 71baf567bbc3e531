import type { ChatCompletionCreateParamsStreaming } from 'openai/resources/chat/completions';
import type { GenerateRequest } from '../domain/model.ts';
import { DEFAULT_OUTPUT_TOKENS } from './modelAttempts.ts';
import { invalidRequest } from './modelFailures.ts';

const MOST_STOPS = 4;

/** @throws ModelFailure that cannot be retried, for what OpenAI itself is known to refuse; other servers decide. */
export function checkForOpenAi({ parameters }: GenerateRequest, official: boolean): void {
  if (official && (parameters.stop?.length ?? 0) > MOST_STOPS)
    throw invalidRequest(`OpenAI takes at most ${MOST_STOPS} stop phrases`);
}

/**
 * The body of a streamed chat. `top_k` and `num_ctx` are unknown to the protocol and left out.
 * @param official whether it goes to OpenAI itself: only that one is sent `max_completion_tokens`, which others ignore.
 */
export function chatRequest(request: GenerateRequest, official: boolean): ChatCompletionCreateParamsStreaming {
  const { temperature, top_p, seed, stop, format, num_predict = DEFAULT_OUTPUT_TOKENS } = request.parameters;
  return {
    model: request.model,
    messages: request.messages.map(({ role, content }) => ({ role, content })),
    stream: true,
    stream_options: { include_usage: true },
    ...(official ? { max_completion_tokens: num_predict } : { max_tokens: num_predict }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(top_p === undefined ? {} : { top_p }),
    ...(seed === undefined ? {} : { seed }),
    ...(stop === undefined || stop.length === 0 ? {} : { stop }),
    ...(format === undefined ? {} : { response_format: responseFormat(format) }),
  };
}

function responseFormat(format: NonNullable<GenerateRequest['parameters']['format']>) {
  if (format === 'json') return { type: 'json_object' as const };
  return { type: 'json_schema' as const, json_schema: { name: 'answer', schema: format } };
}
