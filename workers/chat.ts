/** The model call of an attempt, in the span and with the names that OpenTelemetry has for generative AI (status: development). */
import { ModelFailure } from '../domain/model.ts';
import type { OpenTurn } from '../domain/discussion/state.ts';
import type { WakeUp } from '../domain/ports.ts';
import { noTracer, type Attributes, type Span } from '../domain/tracing.ts';
import { callModel, type AttemptResult } from './attempt.ts';
import type { Prepared } from './prepare.ts';
import type { Running } from './settle.ts';
import type { WorkerContext } from './worker.ts';

/** Turns of a discussion in one trace: without end it would grow beyond what its readers take. */
const TURNS_A_TRACE = 100;

/** The span of an attempt at a turn; it continues what the turn was requested in. */
export function beginTurnSpan(
  { engine, worker }: WorkerContext,
  { discussionId, traceparent }: Pick<WakeUp, 'discussionId' | 'traceparent'>,
  turn: OpenTurn,
): Span {
  const cause = turn.cause?.traceparent ?? traceparent;
  const goesOn = turn.number % TURNS_A_TRACE !== 0;
  return (engine.tracer ?? noTracer).begin('invoke_agent', {
    kind: 'consumer',
    ...(goesOn ? { parent: cause } : { links: cause === undefined ? [] : [cause] }),
    attributes: {
      'gen_ai.operation.name': 'invoke_agent',
      'gen_ai.conversation.id': discussionId,
      'colloquy.turn.id': turn.turnId,
      'colloquy.turn.number': turn.number,
      'colloquy.turn.attempt': turn.attempts + 1,
      'colloquy.worker': worker,
    },
  });
}

/** The turn as what happens inside the span continues it. */
export function within({ traceparent }: Span, turn: OpenTurn): OpenTurn {
  return turn.cause === null || traceparent === undefined ? turn : { ...turn, cause: { ...turn.cause, traceparent } };
}

/** One model call of a claimed attempt. Never throws: a model that cannot be asked is a failure, too. */
export async function chat(
  ctx: WorkerContext,
  running: Running,
  { model, rendered, record, failure }: Prepared,
  parent: string | undefined,
): Promise<AttemptResult> {
  if (failure !== null) return neverAsked(failure);
  if (model === null) return neverAsked(new ModelFailure('error', 'no such provider'));
  const { discussionId, project, turnId, attempt } = running;
  const request = {
    model: record.model.name,
    messages: rendered.messages,
    parameters: record.parameters,
    deadlines: ctx.settings.deadlines,
  };
  const span = (ctx.engine.tracer ?? noTracer).begin(`chat ${record.model.name}`, {
    parent,
    kind: 'client',
    attributes: {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': record.model.provider,
      'gen_ai.request.model': record.model.name,
      'gen_ai.conversation.id': discussionId,
      ...asked(record.parameters),
    },
  });
  const result = await callModel(
    { bus: ctx.bus, clock: ctx.engine.clock },
    { model, request, signal: running.abort.signal, of: { project, discussionId, turnId, attempt } },
  );
  span.set(answered(result));
  span.end(result.outcome === 'answered' ? undefined : result.failure.reason);
  return result;
}

function asked({ temperature, seed, num_predict }: Prepared['record']['parameters']): Attributes {
  return {
    ...(temperature === undefined ? {} : { 'gen_ai.request.temperature': temperature }),
    ...(seed === undefined ? {} : { 'gen_ai.request.seed': seed }),
    ...(num_predict === undefined ? {} : { 'gen_ai.request.max_tokens': num_predict }),
  };
}

function answered(result: AttemptResult): Attributes {
  const { usage, firstTokenMs } = result;
  return {
    'gen_ai.usage.input_tokens': usage.inputTokens,
    'gen_ai.usage.output_tokens': usage.outputTokens,
    'gen_ai.response.finish_reasons': [result.outcome === 'answered' ? result.finishReason : result.failure.reason],
    ...(firstTokenMs === null ? {} : { 'gen_ai.response.time_to_first_chunk': firstTokenMs / 1000 }),
  };
}

function neverAsked(failure: ModelFailure): AttemptResult {
  return {
    outcome: 'failed',
    failure,
    text: '',
    usage: { inputTokens: 0, outputTokens: 0, source: 'reported' },
    firstTokenMs: null,
    totalMs: 0,
  };
}
