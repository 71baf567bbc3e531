import type { Clock } from '../domain/ports.ts';

/** Milliseconds. `firstByteMs` counts from the moment the request is sent, `totalMs` too. */
export interface CallLimits {
  readonly connectMs: number;
  readonly firstByteMs: number;
  readonly chunkMs: number;
  readonly totalMs: number;
}

/** Why a call is cut off: a deadline passed, a caller's signal aborted, or `stop` was called. */
export type CallEnd = 'connect' | 'firstByte' | 'chunk' | 'total' | 'cancelled' | 'ended';

export interface CallDeadlines {
  /** Aborts with what `reasonOf` made of the end. */
  readonly signal: AbortSignal;
  /** Until the next `expect` or `idle`, at most that long. */
  expect(what: 'connect' | 'firstByte' | 'chunk'): void;
  /** Nothing is expected of the server: the caller is busy with what it was given. Only the total goes on. */
  idle(): void;
  /** From now on the whole takes `ms` at most, not less than the shortest of the limits. */
  readonly within: (ms: number) => void;
  /** Ends the watch; what is still open is cut off. */
  readonly stop: () => void;
}

/** One watch over the deadlines of a call to a model's server: a number is set per chunk, not a timer. */
export function watchDeadlines(
  clock: Clock,
  limits: CallLimits,
  callers: readonly AbortSignal[],
  reasonOf: (end: CallEnd) => Error,
): CallDeadlines {
  const cut = new AbortController();
  const ended = new AbortController();
  let totalAt = clock.monotonic() + limits.totalMs;
  let step: { what: 'connect' | 'firstByte' | 'chunk'; at: number } | null = null;
  const end = (why: CallEnd): void => {
    for (const caller of callers) caller.removeEventListener('abort', cancelled);
    ended.abort();
    cut.abort(reasonOf(why));
  };
  const cancelled = (): void => end('cancelled');
  const stepMs = { connect: limits.connectMs, firstByte: limits.firstByteMs, chunk: limits.chunkMs };
  // Never asleep longer than the shortest step, so that a deadline set during a sleep is not missed.
  const napMs = Math.max(1, Math.min(limits.connectMs, limits.firstByteMs, limits.chunkMs));
  const watch = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      const now = clock.monotonic();
      if (step && now >= step.at) return end(step.what);
      if (now >= totalAt) return end('total');
      await clock.sleep(Math.min(napMs, totalAt - now, (step?.at ?? Infinity) - now), ended.signal);
    }
  };
  if (callers.some((caller) => caller.aborted)) cancelled();
  else {
    for (const caller of callers) caller.addEventListener('abort', cancelled, { once: true });
    void watch();
  }
  return {
    signal: cut.signal,
    expect: (what) => (step = { what, at: clock.monotonic() + stepMs[what] }),
    idle: () => (step = null),
    within: (ms) => (totalAt = Math.min(totalAt, clock.monotonic() + ms)),
    stop: () => end('ended'),
  };
}
