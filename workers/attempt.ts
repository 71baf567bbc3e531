import { estimateTokens } from '../domain/content.ts';
import { ModelFailure, type GenerateRequest, type ModelEvent, type StopReason, type Usage } from '../domain/model.ts';
import { createEchoFilter } from '../domain/prompt/echo.ts';
import type { Bus, Clock, Delta, LanguageModel } from '../domain/ports.ts';

/** How a model call ended. Tokens are counted either way. */
export type AttemptResult = {
  readonly text: string;
  readonly usage: Usage;
  readonly firstTokenMs: number | null;
  readonly totalMs: number;
} & (
  | { readonly outcome: 'answered'; readonly finishReason: StopReason }
  | { readonly outcome: 'failed'; readonly failure: ModelFailure }
);

/** Longest answer that is taken, in UTF-16 units: a model that does not stop is stopped. */
const MAX_ANSWER = 90_000;

interface Call {
  readonly model: LanguageModel;
  readonly request: GenerateRequest;
  readonly signal: AbortSignal;
  /** Whose deltas these are. */
  readonly of: Omit<Delta, 'offset' | 'text'>;
}

/**
 * One model call: streams its deltas to the bus and gathers the answer. Never throws: whatever the model does ends as an
 * answer or a failure with a reason of the closed list.
 */
export async function callModel(deps: { bus: Bus; clock: Clock }, call: Call): Promise<AttemptResult> {
  const started = deps.clock.monotonic();
  let text = '';
  let firstTokenMs: number | null = null;
  const elapsed = () => Math.round(deps.clock.monotonic() - started);
  const filter = createEchoFilter();
  const say = (given: string) => {
    // Cut here, because one piece alone may be larger than the log takes, and what cannot be recorded cannot end.
    const piece = given.slice(0, MAX_ANSWER + 1 - text.length).toWellFormed();
    if (piece !== '') deps.bus.publish({ ...call.of, offset: text.length, text: piece });
    text += piece;
    if (text.length > MAX_ANSWER) throw new ModelFailure('invalid_output', 'the answer grew too long and was stopped');
  };
  try {
    for await (const event of call.model.generate(call.request, { signal: call.signal })) {
      if (event.type === 'done') {
        say(filter.end());
        return answered(text, event, { firstTokenMs, totalMs: elapsed() });
      }
      firstTokenMs ??= elapsed();
      say(filter.feed(storable(event.text)));
    }
    throw new ModelFailure('invalid_output', 'the answer ended without saying so');
  } catch (error) {
    const failure =
      error instanceof ModelFailure
        ? error
        : new ModelFailure('error', 'the model failed in an unexpected way', { cause: error });
    return {
      outcome: 'failed',
      failure,
      text,
      usage: failure.usage ?? estimated(call.request, text),
      firstTokenMs,
      totalMs: elapsed(),
    };
  }
}

function answered(
  text: string,
  done: Extract<ModelEvent, { type: 'done' }>,
  timing: { firstTokenMs: number | null; totalMs: number },
): AttemptResult {
  const { usage, finishReason } = done;
  if (finishReason === 'refused')
    return {
      outcome: 'failed',
      failure: new ModelFailure('refused', 'the model refused to answer', { retryable: false }),
      text,
      usage,
      ...timing,
    };
  if (text.trim() === '')
    return {
      outcome: 'failed',
      failure: new ModelFailure('invalid_output', 'the answer was empty'),
      text,
      usage,
      ...timing,
    };
  return { outcome: 'answered', text, usage, finishReason, ...timing };
}

function estimated(request: GenerateRequest, text: string): Usage {
  const inputTokens = request.messages.reduce((sum, { content }) => sum + estimateTokens(content), 0);
  return { inputTokens, outputTokens: estimateTokens(text), source: 'estimated' };
}

/** What Postgres and canonical JSON can hold: models and vendors' messages may hold NUL characters and halves of surrogate pairs. */
export function storable(text: string): string {
  return text.replaceAll('\u0000', '').toWellFormed();
}
