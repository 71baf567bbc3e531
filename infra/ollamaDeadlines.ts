import type { Clock } from '../domain/ports.ts';
import { type CallDeadlines, type CallEnd, type CallLimits, watchDeadlines as watch } from './modelDeadlines.ts';
import { OllamaFault } from './ollamaFault.ts';

export type OllamaLimits = CallLimits;

const MESSAGES: Readonly<Record<CallEnd, string>> = {
  connect: 'Ollama did not accept the connection in time',
  firstByte: 'Ollama sent no first byte in time: it is loading, queueing or reading a long prompt; allow it more time',
  chunk: 'Ollama stopped sending in the middle of its answer',
  total: 'the answer of Ollama took longer than its total deadline',
  cancelled: 'the call was cancelled',
  ended: 'the call has ended',
};

/** The deadlines of a call to Ollama; its signal aborts with an `OllamaFault`. */
export function watchDeadlines(clock: Clock, limits: OllamaLimits, callers: readonly AbortSignal[]): CallDeadlines {
  return watch(clock, limits, callers, (end) => {
    const kind = end === 'cancelled' || end === 'ended' ? 'cancelled' : 'deadline';
    return new OllamaFault(kind, MESSAGES[end]);
  });
}
