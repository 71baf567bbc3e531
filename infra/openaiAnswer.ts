import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import type { ModelEvent } from '../domain/model.ts';
import { type ModelAttempt, reportedUsage, tokenText, usageOf } from './modelAttempts.ts';
import { fieldsOf } from './modelEvents.ts';
import { invalidAnswer } from './modelFailures.ts';
import type { HttpCall } from './modelOverHttp.ts';

type FinishReason = Extract<ModelEvent, { type: 'done' }>['finishReason'];

/** How long the usage is waited for, which comes after the finish reason or not at all. */
const USAGE_MS = 5_000;

/** What a stream's reasons mean. `stop` is the model's own end or a stop phrase: the protocol does not tell them apart. */
const FINISH_REASONS: Readonly<Record<string, FinishReason>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  content_filter: 'refused',
};

interface Read {
  finish: FinishReason | null;
  refused: boolean;
  blank: boolean;
}

/**
 * A stream's texts, then `done`; nothing more when it ends without a finish reason. Throws a `ModelFailure` for chunks of
 * another shape, an end for another reason, and an answer without text.
 */
export async function* chatEvents(
  label: string,
  chunks: AsyncIterable<ChatCompletionChunk>,
  call: HttpCall,
): AsyncGenerator<ModelEvent> {
  const { attempt } = call;
  const read: Read = { finish: null, refused: false, blank: true };
  try {
    for await (const chunk of chunks) {
      const text = textOf(label, chunk, attempt, read);
      if (text !== '') yield { type: 'text', text };
      if (read.finish === null) continue;
      if (attempt.reported) break;
      call.within(USAGE_MS);
    }
  } catch (error) {
    // Only its usage is missing: the answer is whole.
    if (read.finish === null) throw error;
  }
  if (read.finish === null) return;
  const finishReason = read.refused ? 'refused' : read.finish;
  if (read.blank && finishReason !== 'refused') throw invalidAnswer(label, 'wrote no text');
  yield { type: 'done', finishReason, usage: usageOf(attempt) };
}

function textOf(label: string, chunk: unknown, attempt: ModelAttempt, read: Read): string {
  if (typeof chunk !== 'object' || chunk === null) throw invalidAnswer(label, 'sent a chunk of another shape');
  const { choices, usage } = fieldsOf(chunk);
  if (usage !== undefined && usage !== null) {
    const { prompt_tokens, completion_tokens } = fieldsOf(usage);
    attempt.reported = reportedUsage(prompt_tokens, completion_tokens) ?? attempt.reported;
  }
  // Some servers add objects of their own.
  if (!Array.isArray(choices)) return '';
  const { delta, finish_reason } = fieldsOf(choices[0]);
  const { content, refusal } = fieldsOf(delta);
  if (typeof refusal === 'string' && refusal !== '') read.refused = true;
  if (typeof finish_reason === 'string' && finish_reason !== '') {
    const finish = Object.hasOwn(FINISH_REASONS, finish_reason) ? FINISH_REASONS[finish_reason] : undefined;
    if (finish === undefined) throw invalidAnswer(label, 'ended the answer for a reason that makes no message');
    read.finish = finish;
  }
  if (content === undefined || content === null) return '';
  if (typeof content !== 'string') throw invalidAnswer(label, 'sent a chunk whose content is not text');
  read.blank &&= content.trim() === '';
  return tokenText(attempt, content);
}
