import type { RawMessageStreamEvent } from '@anthropic-ai/sdk/resources/messages';
import type { ModelEvent } from '../domain/model.ts';
import { type ModelAttempt, reportedUsage, tokenText, usageOf } from './modelAttempts.ts';
import { fieldsOf } from './modelEvents.ts';
import { invalidAnswer } from './modelFailures.ts';

type FinishReason = Extract<ModelEvent, { type: 'done' }>['finishReason'];

const FINISH_REASONS: Readonly<Record<string, FinishReason>> = {
  end_turn: 'end_turn',
  max_tokens: 'max_tokens',
  model_context_window_exceeded: 'max_tokens',
  stop_sequence: 'stop_phrase',
  refusal: 'refused',
};

/** With these of a cached prompt `input_tokens` is the whole prompt; each may be missing or null. */
const INPUT_COUNTS = ['input_tokens', 'cache_creation_input_tokens', 'cache_read_input_tokens'] as const;

/**
 * A stream's texts, then `done` as soon as the stop reason is there, which brings the usage; nothing more when the stream
 * ends without one. What a model thinks is no text. Throws a `ModelFailure` for events of another shape, an end for another
 * reason, and an answer without text.
 */
export async function* messageEvents(
  label: string,
  events: AsyncIterable<RawMessageStreamEvent>,
  attempt: ModelAttempt,
): AsyncGenerator<ModelEvent> {
  let blank = true;
  let input: Record<string, unknown> = {};
  for await (const given of events) {
    const event = fieldsOf(given);
    if (typeof event['type'] !== 'string') throw invalidAnswer(label, 'sent an event of another shape');
    if (event['type'] === 'message_start') input = fieldsOf(fieldsOf(event['message'])['usage']);
    const text = tokenText(attempt, textOf(label, event));
    blank &&= text.trim() === '';
    if (text !== '') yield { type: 'text', text };
    const reason = fieldsOf(event['delta'])['stop_reason'];
    if (event['type'] !== 'message_delta' || typeof reason !== 'string') continue;
    const usage = fieldsOf(event['usage']);
    attempt.reported = reportedUsage(inputTokens({ ...input, ...known(usage) }), usage['output_tokens']);
    const finishReason = Object.hasOwn(FINISH_REASONS, reason) ? FINISH_REASONS[reason] : undefined;
    if (finishReason === undefined) throw invalidAnswer(label, 'ended the answer for a reason that makes no message');
    if (blank && finishReason !== 'refused') throw invalidAnswer(label, 'wrote no text');
    yield { type: 'done', finishReason, usage: usageOf(attempt) };
    return;
  }
}

function textOf(label: string, event: Record<string, unknown>): string {
  const piece = event['type'] === 'content_block_start' ? event['content_block'] : event['delta'];
  const { type, text } = fieldsOf(piece);
  const says = type === 'text' || type === 'text_delta';
  if (!says) return '';
  if (typeof text !== 'string') throw invalidAnswer(label, 'sent an event whose text is none');
  return text;
}

/** The last event says it again, or leaves it out. */
function known(usage: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(usage).filter(([, value]) => typeof value === 'number'));
}

/** Null when it does not say: no prompt is empty. */
function inputTokens(usage: Record<string, unknown>): number | null {
  const sum = INPUT_COUNTS.reduce((all, name) => all + (typeof usage[name] === 'number' ? usage[name] : 0), 0);
  return sum === 0 ? null : sum;
}
