/** Long work that answers 202 and goes on: what it is, how far it is, how it ended; kept in this process. */
import type { Clock, Ids } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';

export interface Operation {
  readonly id: string;
  readonly kind: string;
  readonly status: 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';
  readonly progress: {
    readonly done: number;
    readonly total: number;
    readonly rate: number;
    readonly etaSeconds: number | null;
    readonly note: string;
  };
  readonly result: unknown;
  readonly error: { readonly code: string; readonly detail: string } | null;
  readonly startedAt: string;
}

/** Tells how far the work is, in units of its own. */
export type Report = (done: number, total: number, note: string) => void;

export interface Operations {
  /** Starts work. @throws Refusal `rate-limited` when too many run. */
  start(kind: string, work: (report: Report, signal: AbortSignal) => Promise<unknown>): Operation;
  get(id: string): Operation | null;
  /** Asks running work to stop. @returns null for an unknown one. */
  cancel(id: string): Operation | null;
  /** Stops everything. */
  stop(): void;
}

const MAX_RUNNING = 4;
const MAX_KEPT = 500;

/** @param clock for rates and times. */
export function createOperations(clock: Clock, ids: Ids): Operations {
  const kept = new Map<string, { operation: Operation; abort: AbortController }>();
  const change = (id: string, part: Partial<Operation>) => {
    const entry = kept.get(id);
    if (entry !== undefined) entry.operation = { ...entry.operation, ...part };
  };
  const run = async (
    id: string,
    work: (report: Report, signal: AbortSignal) => Promise<unknown>,
    signal: AbortSignal,
  ) => {
    const startedMs = clock.monotonic();
    const report: Report = (done, total, note) => {
      const rate = done / Math.max(0.001, (clock.monotonic() - startedMs) / 1000);
      const etaSeconds = rate > 0 && total > done ? Math.ceil((total - done) / rate) : null;
      change(id, { progress: { done, total, rate: Math.round(rate), etaSeconds, note } });
    };
    try {
      change(id, { status: 'succeeded', result: (await work(report, signal)) ?? null });
    } catch (error) {
      if (signal.aborted) change(id, { status: 'cancelled' });
      else if (error instanceof Refusal)
        change(id, { status: 'failed', error: { code: error.code, detail: error.message } });
      else change(id, { status: 'failed', error: { code: 'internal', detail: 'it failed in an unexpected way' } });
    }
  };
  return {
    start(kind, work) {
      if ([...kept.values()].filter(({ operation }) => operation.status === 'running').length >= MAX_RUNNING)
        throw new Refusal('rate-limited', `${MAX_RUNNING} operations are running already: wait for one to end`, {
          retryable: true,
          retryAfterMs: 5000,
        });
      const id = ids.next();
      const abort = new AbortController();
      const progress = { done: 0, total: 0, rate: 0, etaSeconds: null, note: '' };
      const operation: Operation = {
        id,
        kind,
        status: 'running',
        progress,
        result: null,
        error: null,
        startedAt: new Date(clock.now()).toISOString(),
      };
      kept.set(id, { operation, abort });
      forgetOldest(kept);
      void run(id, work, abort.signal);
      return operation;
    },
    get: (id) => kept.get(id)?.operation ?? null,
    cancel(id) {
      kept.get(id)?.abort.abort();
      return kept.get(id)?.operation ?? null;
    },
    stop() {
      for (const { abort } of kept.values()) abort.abort();
    },
  };
}

function forgetOldest(kept: Map<string, { operation: Operation }>): void {
  for (const [id, { operation }] of kept) {
    if (kept.size <= MAX_KEPT) return;
    if (operation.status !== 'running') kept.delete(id);
  }
}
