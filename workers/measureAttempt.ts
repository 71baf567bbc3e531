import type { AttemptResult } from './attempt.ts';
import type { Prepared } from './prepare.ts';
import type { WorkerContext } from './worker.ts';

/** Counts an attempt that has ended: how, by which provider, its tokens and times. */
export function measureAttempt(
  ctx: Pick<WorkerContext, 'telemetry'>,
  { profile }: Prepared,
  result: AttemptResult,
): void {
  const { provider } = profile.model;
  ctx.telemetry.count('turn_attempts_total', {
    provider,
    outcome: result.outcome === 'answered' ? result.finishReason : result.failure.reason,
  });
  ctx.telemetry.count('gen_ai_client_token_usage_total', { provider, direction: 'input' }, result.usage.inputTokens);
  ctx.telemetry.count('gen_ai_client_token_usage_total', { provider, direction: 'output' }, result.usage.outputTokens);
  ctx.telemetry.observe('gen_ai_client_operation_duration_seconds', result.totalMs / 1000, { provider });
  if (result.firstTokenMs !== null)
    ctx.telemetry.observe('gen_ai_client_time_to_first_chunk_seconds', result.firstTokenMs / 1000, { provider });
}
