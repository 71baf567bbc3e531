import type { Deadlines } from '../domain/model.ts';
import type { Clock, Ids } from '../domain/ports.ts';
import type { Log, Telemetry } from '../domain/telemetry.ts';
import type { AttemptResult } from './attempt.ts';

export interface CircuitSettings {
  /** Failures of a provider in a row that open its circuit. */
  readonly failures: number;
  /** First pause of an open circuit; doubles with each trial that fails. */
  readonly pauseMs: number;
  /** Longest pause, but for a longer Retry-After. */
  readonly maxPauseMs: number;
}

export const defaultCircuitSettings: CircuitSettings = { failures: 5, pauseMs: 5_000, maxPauseMs: 60_000 };

/** Longest Retry-After that is kept to: a provider may not say that it will never be asked again. */
const MAX_RETRY_AFTER_MS = 5 * 60_000;

/**
 * Which providers this process leaves alone, because they failed again and again: closed → open after failures in a row →
 * half-open after a pause, when one turn may try → closed by any answer, or open for twice as long. Nothing of it is
 * recorded: it is an opinion of one process, and lost with it.
 */
export interface Circuits {
  /**
   * Milliseconds until the provider may be asked about again, with jitter so that not all turns come at once; 0 when it may
   * be tried now. Then the turn holds the trial of a half-open circuit, until it ends, is given back, or lasts longer than a
   * call can.
   */
  waitMs(provider: string, turnId: string): number;
  /** Tells how an attempt ended. */
  ended(provider: string, turnId: string, verdict: Verdict): void;
  /** The turn makes no attempt after all: a trial that it holds is free again. */
  giveBack(turnId: string): void;
}

/** What an attempt says of its provider; `unknown` when it says nothing. */
export type Verdict =
  { readonly provider: 'answers' | 'unknown' } | { readonly provider: 'fails'; readonly retryAfterMs: number };

interface Circuit {
  /** In a row. */
  failures: number;
  open: { untilMs: number; pauseMs: number; trial: string | null } | null;
}

/** What circuits need of a `WorkerContext`. */
export interface CircuitContext {
  readonly engine: { readonly clock: Pick<Clock, 'monotonic'>; readonly ids: Pick<Ids, 'random'> };
  readonly telemetry: Pick<Telemetry, 'set'>;
  readonly log: Pick<Log, 'info' | 'warn'>;
  readonly settings: {
    readonly circuit?: Partial<CircuitSettings>;
    readonly deadlines: Pick<Deadlines, 'totalMs'>;
  };
}

/** Circuits of one process, all closed at first. */
export function createCircuits(ctx: CircuitContext): Circuits {
  const { telemetry, log } = ctx;
  const { clock, ids } = ctx.engine;
  const settings = { ...defaultCircuitSettings, ...ctx.settings.circuit };
  const circuits = new Map<string, Circuit>();
  const open = (provider: string, circuit: Circuit, pauseMs: number, retryAfterMs: number) => {
    const asked = Math.min(retryAfterMs, MAX_RETRY_AFTER_MS);
    circuit.open = { untilMs: clock.monotonic() + Math.max(pauseMs, asked), pauseMs, trial: null };
    telemetry.set('model_circuit_open', 1, { provider });
    log.warn({ provider, failures: circuit.failures, pauseMs: Math.max(pauseMs, asked) }, 'a provider is left alone');
  };
  const failed = (provider: string, circuit: Circuit, turnId: string, retryAfterMs: number) => {
    circuit.failures += 1;
    if (circuit.open === null) {
      if (circuit.failures >= settings.failures) open(provider, circuit, settings.pauseMs, retryAfterMs);
    } else if (circuit.open.trial === turnId)
      open(provider, circuit, Math.min(circuit.open.pauseMs * 2, settings.maxPauseMs), retryAfterMs);
  };
  const giveBack = (turnId: string) => {
    for (const { open: at } of circuits.values())
      if (at?.trial === turnId) Object.assign(at, { trial: null, untilMs: clock.monotonic() });
  };
  return {
    waitMs(provider, turnId) {
      const now = clock.monotonic();
      const at = circuits.get(provider)?.open ?? null;
      if (at === null || at.trial === turnId) return 0;
      if (now < at.untilMs) {
        const waitMs = at.trial === null ? at.untilMs - now : at.pauseMs;
        return Math.ceil(waitMs + ids.random() * Math.min(waitMs, settings.pauseMs));
      }
      Object.assign(at, { trial: turnId, untilMs: now + ctx.settings.deadlines.totalMs });
      return 0;
    },
    ended(provider, turnId, verdict) {
      const circuit = circuits.get(provider) ?? { failures: 0, open: null };
      circuits.set(provider, circuit);
      if (verdict.provider === 'unknown') return giveBack(turnId);
      if (verdict.provider === 'fails') return failed(provider, circuit, turnId, verdict.retryAfterMs);
      if (circuit.open !== null) {
        telemetry.set('model_circuit_open', 0, { provider });
        log.info({ provider }, 'a provider that was left alone answers again');
      }
      Object.assign(circuit, { failures: 0, open: null });
    },
    giveBack,
  };
}

/**
 * What an attempt says of its provider: it fails when it cannot be reached, is overloaded or silent; it answers when it
 * gives a bad answer or refuses one model. An attempt that was cancelled, or ended before the provider was asked, says
 * nothing.
 */
export function verdictOf(result: AttemptResult, asked: boolean): Verdict {
  if (result.outcome === 'answered') return { provider: 'answers' };
  const { reason, retryable, promptTooLong, retryAfterMs = 0 } = result.failure;
  if (retryable && !promptTooLong && (reason === 'error' || reason === 'time_out'))
    return { provider: 'fails', retryAfterMs };
  const silent = reason === 'cancelled' || reason === 'lease_lost' || reason === 'budget_exhausted';
  return { provider: asked && !silent ? 'answers' : 'unknown' };
}
