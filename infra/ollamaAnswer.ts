import type { ChatRequest, ChatResponse } from 'ollama';
import { estimateTokens } from '../domain/content.ts';
import type { GenerateRequest, ModelEvent, Usage } from '../domain/model.ts';
import type { OllamaFacts } from './ollamaFacts.ts';
import { OllamaFault } from './ollamaFault.ts';
import { optionsFor } from './ollamaParameters.ts';

/** What one attempt has come to: for its usage, also when it fails. */
export interface OllamaAttempt {
  /** Estimated. */
  readonly promptTokens: number;
  /** Whether the server was given the prompt and may have worked on it. */
  worked: boolean;
  text: { characters: number; frames: number };
  /** From the done frame, the only one that says (O6). */
  reported: Usage | null;
  /** Time to read the prompt, milliseconds; 0 when not known. */
  promptMs: number;
}

/** An attempt of which nothing is known but its prompt. */
export function newAttempt(request: GenerateRequest): OllamaAttempt {
  const promptTokens = request.messages.reduce((sum, message) => sum + estimateTokens(message.content), 0);
  return { promptTokens, worked: false, text: { characters: 0, frames: 0 }, reported: null, promptMs: 0 };
}

/** Undefined when the server was not given the prompt, or refused it. */
export function usageOf(attempt: OllamaAttempt): Usage | undefined {
  return attempt.reported ?? (attempt.worked ? estimatedUsage(attempt) : undefined);
}

/** A frame is a token, or a little more. */
function estimatedUsage({ promptTokens, text }: OllamaAttempt): Usage {
  const outputTokens = Math.max(text.frames, Math.ceil(text.characters / 4));
  return { inputTokens: promptTokens, outputTokens, source: 'estimated' };
}

/**
 * `truncate` and `shift` are not in the client's types and pass through it: without them Ollama cuts prompts that are
 * too long, and forgets their start while it writes, in silence (O7). Messages carry role and content and nothing else:
 * the client reads an `images` string that names a file from disk (O12).
 */
export function chatRequest(request: GenerateRequest, facts: OllamaFacts, numCtx: number, keepAliveMs: number) {
  const { format } = request.parameters;
  const body: ChatRequest & { stream: true; truncate: false; shift: false } = {
    model: request.model,
    messages: request.messages.map(({ role, content }) => ({ role, content })),
    stream: true,
    truncate: false,
    shift: false,
    keep_alive: `${keepAliveMs}ms`,
    options: optionsFor(request.parameters, numCtx, facts.stops),
    ...(format === undefined ? {} : { format }),
    // Such a model thinks in silence unless told not to, until num_predict is used up and no text is left; a model
    // without the capability answers `think` with 400.
    ...(facts.capabilities.includes('thinking') ? { think: false } : {}),
  };
  return body;
}

/**
 * The answer's texts, then exactly one `done`. Throws an `OllamaFault` when the answer is none: frames of another
 * shape, no text at all, an end for another reason than the model's or the limit's.
 */
export async function* answerEvents(
  frames: AsyncIterable<ChatResponse>,
  attempt: OllamaAttempt,
): AsyncGenerator<ModelEvent> {
  let blank = true;
  for await (const frame of frames) {
    const text = textOf(frame);
    if (text !== '') {
      attempt.text.characters += text.length;
      attempt.text.frames += 1;
      blank &&= text.trim() === '';
      yield { type: 'text', text };
    }
    if (frame.done !== true) continue;
    attempt.reported = reportedUsage(frame);
    const nanoseconds: unknown = frame.prompt_eval_duration;
    attempt.promptMs = typeof nanoseconds === 'number' ? nanoseconds / 1e6 : 0;
    const finishReason = finishReasonOf(frame.done_reason);
    if (finishReason === null)
      throw new OllamaFault('no-done', 'Ollama ended the answer for a reason that makes no message');
    if (blank) throw new OllamaFault('empty', 'the model wrote no text');
    yield { type: 'done', finishReason, usage: attempt.reported ?? estimatedUsage(attempt) };
    return;
  }
  // The client takes `{"status":"success"}`, the end of a pull, for the end of an answer too.
  throw new OllamaFault('no-done', 'Ollama ended the answer without saying that it is complete');
}

/** JSON can carry what neither our log nor RFC 8785 can: NUL and lone surrogates. Ollama never splits a character. */
function textOf(frame: ChatResponse): string {
  const message: unknown = frame.message;
  if (message === undefined || message === null) return '';
  const content: unknown = typeof message === 'object' && 'content' in message ? message.content : '';
  if (typeof content !== 'string') throw new OllamaFault('malformed', 'Ollama sent a frame whose content is not text');
  return content.replaceAll('\u0000', '\uFFFD').toWellFormed();
}

/** `stop` is the model's own end or a stop phrase: Ollama does not tell them apart. */
function finishReasonOf(reason: string): 'end_turn' | 'max_tokens' | null {
  if (reason === 'stop') return 'end_turn';
  return reason === 'length' ? 'max_tokens' : null;
}

function reportedUsage(frame: ChatResponse): Usage | null {
  const inputTokens: unknown = frame.prompt_eval_count;
  const outputTokens: unknown = frame.eval_count;
  const counts = (value: unknown): value is number =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
  return counts(inputTokens) && counts(outputTokens) ? { inputTokens, outputTokens, source: 'reported' } : null;
}
