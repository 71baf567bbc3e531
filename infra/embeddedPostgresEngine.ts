/** One life of the embedded engine's thread: start, signs of life, orderly stop, end by force. */
import { Worker } from 'node:worker_threads';
import { COUNTERS, type EngineMessage, type EngineOrder, type EngineTask } from './embeddedPostgresThread.ts';

export interface EngineThread {
  /** Milliseconds from the thread's first line to accepting connections. */
  readonly tookMs: number;
  /** Resolves when the thread is gone, with the reason. Never rejects. */
  readonly ended: Promise<Error>;
  /** Asks for an orderly end; after `withinMs` the thread is ended by force. Resolves when it is gone. */
  stop(withinMs: number): Promise<void>;
  /** Ends the thread in the middle of whatever it does. */
  kill(reason: string): void;
}

/** Resolves once clients can connect. Rejects, with the thread gone, when it fails or takes longer than `withinMs`. */
export async function startEngineThread(task: EngineTask, withinMs: number): Promise<EngineThread> {
  // execArgv: this process's loaders are not wanted there, the entry registers its own.
  const worker = new Worker(new URL('./embeddedPostgresWorker.mjs', import.meta.url), {
    name: 'embedded postgres',
    workerData: task,
    execArgv: [],
  });
  let reason: Error | undefined;
  const kill = (why: string): void => {
    reason ??= new Error(why);
    void worker.terminate();
  };
  const ended = new Promise<Error>((resolve) => {
    worker.once('error', (error) => (reason ??= asError(error)));
    worker.once('exit', (code) => resolve(reason ?? new Error(`the embedded database ended with code ${code}`)));
  });
  const ready = new Promise<number>((resolve) => {
    worker.on('message', (message: EngineMessage) => {
      if (message.kind === 'ready') resolve(message.tookMs);
      else reason ??= new Error(`the embedded database failed: ${message.reason}`);
    });
  });
  const timer = setTimeout(() => kill(`the embedded database did not start within ${withinMs} ms`), withinMs);
  const tookMs = await Promise.race([ready, ended]).finally(() => clearTimeout(timer));
  if (tookMs instanceof Error) throw tookMs;
  return {
    tookMs,
    ended,
    kill,
    async stop(stopWithinMs) {
      const late = setTimeout(() => kill('the embedded database did not stop in time'), stopWithinMs);
      const order: EngineOrder = 'stop';
      worker.postMessage(order);
      await ended;
      clearTimeout(late);
    },
  };
}

/**
 * Calls `onStuck` once when the thread has shown no sign of life for as long as `limitMs` says at that moment. Counts its own
 * ticks, not the clock: after the whole process was suspended the thread gets its full time again. Returns how to end it.
 */
export function watchBeats(counters: BigInt64Array, limitMs: () => number, onStuck: () => void): () => void {
  const tickMs = 250;
  let silentMs = 0;
  let seen = -1n;
  const timer = setInterval(() => {
    const beats = Atomics.load(counters, COUNTERS.beats);
    silentMs = beats === seen ? silentMs + tickMs : 0;
    seen = beats;
    if (silentMs < limitMs()) return;
    clearInterval(timer);
    onStuck();
  }, tickMs);
  return () => clearInterval(timer);
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
