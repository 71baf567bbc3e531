import type { Clock } from '../domain/ports.ts';
import { OllamaFault } from './ollamaFault.ts';

/** Milliseconds. `firstByteMs` counts from the moment the request is sent, `totalMs` too. */
export interface OllamaLimits {
  readonly connectMs: number;
  readonly firstByteMs: number;
  readonly chunkMs: number;
  readonly totalMs: number;
}

export interface OllamaDeadlines {
  /** Aborts with an `OllamaFault`: a deadline passed, a caller's signal aborted, or `stop` was called. */
  readonly signal: AbortSignal;
  /** Until the next `expect` or `idle`, at most that long. */
  expect(what: 'connect' | 'firstByte' | 'chunk'): void;
  /** Nothing is expected of the server: the caller is busy with what it was given. Only the total goes on. */
  idle(): void;
  /** Ends the watch; what is still open is cut off. */
  readonly stop: () => void;
}

const MESSAGES = {
  connect: 'Ollama did not accept the connection in time',
  firstByte: 'Ollama sent no first byte in time: it is loading, queueing or reading a long prompt; allow it more time',
  chunk: 'Ollama stopped sending in the middle of its answer',
  total: 'the answer of Ollama took longer than its total deadline',
};

/** One watch over a call's deadlines: a number is set per chunk, not a timer. */
export function watchDeadlines(clock: Clock, limits: OllamaLimits, callers: readonly AbortSignal[]): OllamaDeadlines {
  const cut = new AbortController();
  const ended = new AbortController();
  const totalAt = clock.monotonic() + limits.totalMs;
  let step: { what: 'connect' | 'firstByte' | 'chunk'; at: number } | null = null;
  const end = (fault: OllamaFault): void => {
    for (const caller of callers) caller.removeEventListener('abort', cancelled);
    ended.abort();
    cut.abort(fault);
  };
  const cancelled = (): void => end(new OllamaFault('cancelled', 'the call was cancelled'));
  const stepMs = { connect: limits.connectMs, firstByte: limits.firstByteMs, chunk: limits.chunkMs };
  // Never asleep longer than the shortest step, so that a deadline set during a sleep is not missed.
  const napMs = Math.max(1, Math.min(limits.connectMs, limits.firstByteMs, limits.chunkMs));
  const watch = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      const now = clock.monotonic();
      if (step && now >= step.at) return end(new OllamaFault('deadline', MESSAGES[step.what]));
      if (now >= totalAt) return end(new OllamaFault('deadline', MESSAGES.total));
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
    stop: () => end(new OllamaFault('cancelled', 'the call has ended')),
  };
}
