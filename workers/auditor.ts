/** Follows the log and writes signed checkpoints over it, outside the database. */
import { extendEvidence, type ExtendOptions, type Extension } from '../domain/audit/extend.ts';
import type { Clock } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Log, Telemetry } from '../domain/telemetry.ts';

export interface AuditorContext extends ExtendOptions {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly log: Log;
  /** What is not given has its default. */
  readonly pace?: Partial<AuditorPace>;
}

export interface AuditorPace {
  /** Between two looks at an idle log. */
  readonly lookMs: number;
  /** A checkpoint is written when so many events wait for one, or the first has waited for so long. */
  readonly events: number;
  readonly longestMs: number;
  /** Events read at once. Each such read is followed by a pause of twice its time: live turns come first. */
  readonly batch: number;
}

const PACE: AuditorPace = { lookMs: 2_000, events: 1_000, longestMs: 60_000, batch: 250 };
/** Far behind, checkpoints are over more events each: millions of small files would help nobody. */
const CATCHING_UP_EVENTS = 20_000;
const RETRY_MS = 60_000;
const TROUBLED_MS = 5_000;
/** For the last checkpoint, at a stop. */
const STOP_MS = 3_000;

/**
 * Writes checkpoints until the signal aborts, then a last one; never rejects. Any number may run: what they write follows
 * from the log alone. When the log is not what the evidence says, nothing is written any more, and this is told every minute.
 */
export async function runAuditor(ctx: AuditorContext, signal: AbortSignal): Promise<void> {
  ctx.telemetry.set('audit_mismatch', 0);
  const uncovered: Uncovered = { sinceMs: null };
  while (!signal.aborted) {
    try {
      await follow(ctx, uncovered, signal);
    } catch (error) {
      if (signal.aborted) return;
      tellAge(ctx, uncovered);
      const mismatch = error instanceof Refusal && (error.code === 'conflict' || error.code === 'invalid');
      if (mismatch) {
        ctx.telemetry.set('audit_mismatch', 1);
        ctx.log.error(
          { err: error },
          'the log does not fit its evidence: no checkpoint is written; run `events verify`',
        );
      } else ctx.log.warn({ err: error }, 'no checkpoint can be written now: trying again');
      await ctx.clock.sleep(mismatch ? RETRY_MS : TROUBLED_MS, signal);
    }
  }
}

/** Since when, by the monotonic clock, an event has waited for its checkpoint; kept while none can be written. */
interface Uncovered {
  sinceMs: number | null;
}

function tellAge({ clock, telemetry }: AuditorContext, { sinceMs }: Uncovered): void {
  const ageMs = sinceMs === null ? 0 : clock.monotonic() - sinceMs;
  telemetry.set('audit_checkpoint_age_seconds', Math.round(ageMs / 1000));
}

async function follow(ctx: AuditorContext, uncovered: Uncovered, signal: AbortSignal): Promise<void> {
  const { clock, telemetry } = ctx;
  const pace = { ...PACE, ...ctx.pace };
  let extension = await extendEvidence(ctx);
  telemetry.set('audit_mismatch', 0);
  for (;;) {
    const startedMs = clock.monotonic();
    const read = await extension.read(pace.batch);
    uncovered.sinceMs = extension.waiting.length === 0 ? null : (uncovered.sinceMs ?? startedMs);
    // What was covered may go while nothing comes.
    if (read === 0) await extension.check();
    const behind = read === pace.batch;
    const enough = extension.waiting.length >= (behind ? Math.max(pace.events, CATCHING_UP_EVENTS) : pace.events);
    const late = uncovered.sinceMs !== null && startedMs - uncovered.sinceMs >= pace.longestMs;
    if (enough || late) {
      extension = await write(ctx, extension);
      uncovered.sinceMs = null;
    }
    tellAge(ctx, uncovered);
    if (signal.aborted) return finish(ctx, extension, pace.batch);
    await clock.sleep(behind ? 2 * (clock.monotonic() - startedMs) : pace.lookMs, signal);
  }
}

/** Goes on behind what another auditor has written meanwhile, if one has. */
async function write(ctx: AuditorContext, extension: Extension): Promise<Extension> {
  await extension.check();
  if (((await ctx.evidence.sizes()).at(-1) ?? 0) > extension.covered) return extendEvidence(ctx);
  await extension.write(new Date(ctx.clock.now()).toISOString());
  return extension;
}

/** What has been committed by now gets its checkpoint, too, if it is not much. */
async function finish(ctx: AuditorContext, extension: Extension, batch: number): Promise<void> {
  const startedMs = ctx.clock.monotonic();
  while (ctx.clock.monotonic() - startedMs < STOP_MS && (await extension.read(batch)) === batch);
  if (extension.waiting.length > 0) await write(ctx, extension);
}
