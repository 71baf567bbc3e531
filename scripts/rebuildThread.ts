/** Runs tasks of read models in a thread: folding a log takes seconds at a time, in which no request would be answered. */
import { Worker } from 'node:worker_threads';
import type pg from 'pg';
import { Refusal } from '../domain/refusal.ts';
import type { Settings } from '../infra/config.ts';
import type { RebuildProgress } from '../projections/rebuild/rebuild.ts';
import type { RebuildTask } from './rebuildTask.ts';

/** What the thread is given. */
export interface ThreadTask {
  readonly settings: Settings;
  /** Of the embedded database, which this process has open. */
  readonly embedded: pg.ClientConfig | null;
  readonly task: RebuildTask;
}

export type ThreadMessage =
  | { readonly kind: 'progress'; readonly progress: RebuildProgress }
  | { readonly kind: 'done'; readonly result: unknown }
  | { readonly kind: 'failed'; readonly code: Refusal['code']; readonly detail: string };

/** The only thing that the thread is told. */
export type ThreadOrder = 'stop';

/** How long a thread may take to end after it was asked to. */
const STOP_MS = 8_000;
const MAX_HEAP_MB = 2_048;

/**
 * Runs a task in a thread of its own with its own connections. Rejects with a Refusal that says why it failed, or with
 * the signal's reason.
 */
export function runInThread(given: ThreadTask, signal: AbortSignal, report: (progress: RebuildProgress) => void) {
  signal.throwIfAborted();
  return new Promise<unknown>((resolve, reject) => {
    const worker = new Worker(new URL('./rebuildWorker.mjs', import.meta.url), {
      name: `${given.task.kind} ${given.task.name}`,
      workerData: given,
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    });
    let outcome: (() => void) | null = null;
    let timer: NodeJS.Timeout | undefined;
    const stop = (): void => {
      worker.postMessage('stop' satisfies ThreadOrder);
      timer = setTimeout(() => void worker.terminate(), STOP_MS);
    };
    signal.addEventListener('abort', stop, { once: true });
    worker.on('message', (message: ThreadMessage) => {
      if (message.kind === 'progress') report(message.progress);
      else if (message.kind === 'done') outcome = () => resolve(message.result);
      else outcome = () => reject(new Refusal(message.code, message.detail));
    });
    worker.on(
      'error',
      (error) => (outcome ??= () => reject(new Refusal('internal', `its thread ended: ${error.message}`))),
    );
    worker.on('exit', () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      if (signal.aborted && outcome === null) reject(signal.reason as Error);
      else if (outcome === null) reject(new Refusal('internal', 'its thread ended without a word'));
      else outcome();
    });
  });
}
