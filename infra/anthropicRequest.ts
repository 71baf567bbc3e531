import type { MessageCreateParamsStreaming, MessageParam } from '@anthropic-ai/sdk/resources/messages';
import { z } from 'zod';
import type { GenerateRequest, PromptMessage } from '../domain/model.ts';
import { DEFAULT_OUTPUT_TOKENS } from './modelAttempts.ts';
import { invalidRequest } from './modelFailures.ts';

const MAX_TEMPERATURE = 1;

/** @throws ModelFailure that cannot be retried, for what the protocol does not know but would change the answer. */
export function checkForAnthropic({ messages, parameters }: GenerateRequest, official: boolean): void {
  if (parameters.format !== undefined)
    throw invalidRequest('the parameter format cannot be sent to Anthropic: ask for the form in the instructions');
  if (!official && (parameters.temperature ?? 0) > MAX_TEMPERATURE)
    throw invalidRequest(`Anthropic's protocol takes a temperature of at most ${MAX_TEMPERATURE}`);
  if (messages.find(isSaid)?.role !== 'user')
    throw invalidRequest('a prompt for Anthropic must begin with a message of the user');
}

/**
 * The body of a streamed message. System messages stand together at its head, neighbours of one role are joined, since
 * roles must alternate. `seed` and `num_ctx` are unknown to the protocol and left out.
 * @param official whether it goes to Anthropic itself: since version 2026-10-21 that one refuses `temperature`, `top_p` and
 * `top_k`, whatever their value, while other servers know them.
 * @param found what the provider said of the model.
 */
export function messageRequest(
  request: GenerateRequest,
  official: boolean,
  found: unknown,
): MessageCreateParamsStreaming {
  const { temperature, top_p, top_k, stop, num_predict = DEFAULT_OUTPUT_TOKENS } = request.parameters;
  const system = request.messages.filter(({ role }) => role === 'system').map(({ content }) => content);
  const sampling = Object.entries({ temperature, top_p, top_k }).filter(([, value]) => value !== undefined);
  return {
    model: request.model,
    max_tokens: num_predict,
    messages: alternating(request.messages.filter(isSaid)),
    stream: true,
    ...(system.length === 0 ? {} : { system: system.join('\n\n') }),
    ...(official ? {} : Object.fromEntries(sampling)),
    ...(stop === undefined || stop.length === 0 ? {} : { stop_sequences: stop }),
    ...withoutThinking(found),
  };
}

const supportedSchema = z.object({ supported: z.boolean() });
const thinkingSchema = z.object({
  capabilities: z.object({
    thinking: z.object({ types: z.object({ disabled: supportedSchema, between_tools: supportedSchema }) }),
  }),
});

/**
 * Most models think unless told not to, and what they think counts as written: `num_predict` would be used up before the
 * first word. How to tell them differs from model to model, and some cannot be told; a wrong way is refused.
 */
function withoutThinking(found: unknown): Pick<MessageCreateParamsStreaming, 'thinking'> {
  const types = thinkingSchema.safeParse(found).data?.capabilities.thinking.types;
  if (types?.disabled.supported === true) return { thinking: { type: 'disabled' } };
  return types?.between_tools.supported === true ? { thinking: { type: 'between_tools' } } : {};
}

/** Blank messages are refused by the protocol. */
function isSaid({ role, content }: PromptMessage): boolean {
  return role !== 'system' && content.trim() !== '';
}

function alternating(messages: readonly PromptMessage[]): MessageParam[] {
  const joined: { role: 'user' | 'assistant'; content: string[] }[] = [];
  for (const { role, content } of messages) {
    if (role === 'system') continue;
    const last = joined.at(-1);
    if (last?.role === role) last.content.push(content);
    else joined.push({ role, content: [content] });
  }
  return joined.map(({ role, content }) => ({ role, content: content.join('\n\n') }));
}
