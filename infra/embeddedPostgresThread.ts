/** What the main thread and the engine's thread say to each other. */

export interface EngineTask {
  readonly dataDir: string;
  readonly pgdata: string;
  /** The engine has to be made first. */
  readonly fresh: boolean;
  readonly socketPath: string;
  readonly maxConnections: number;
  readonly idleInTransactionMs: number;
  /** Read by the main thread also while the engine's thread is busy. */
  readonly counters: SharedArrayBuffer;
}

/** Places in `EngineTask.counters`, each a signed 64-bit number that only grows. */
export const COUNTERS = {
  /** Signs of life. */
  beats: 0,
  /** Syncs that reached the disk. */
  fsyncs: 1,
  /** Statements or groups of messages up to a Sync that were run. */
  units: 2,
} as const;

/** Memory that both threads count in: see `COUNTERS`. */
export function newCounters(): SharedArrayBuffer {
  return new SharedArrayBuffer(Object.keys(COUNTERS).length * BigInt64Array.BYTES_PER_ELEMENT);
}

export type EngineOrder = 'stop';

export type EngineMessage =
  { readonly kind: 'ready'; readonly tookMs: number } | { readonly kind: 'fault'; readonly reason: string };

/** Whether a worker thread was given what it needs. */
export function isEngineTask(value: unknown): value is EngineTask {
  return (
    typeof value === 'object' && value !== null && 'counters' in value && value.counters instanceof SharedArrayBuffer
  );
}
