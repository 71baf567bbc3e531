/** The life of the built-in model's thread: started for a text, ended when there was none for a while. */
import { Worker } from 'node:worker_threads';
import { Refusal } from '../domain/refusal.ts';

export interface BuiltinThread {
  /** Rejects with `Refusal('unavailable')` when the thread ends or is late, and it is late for good. One text at a time. */
  vectorOf(text: string): Promise<unknown>;
  running(): boolean;
  /** Resolves when the thread is gone. */
  close(): Promise<void>;
}

/** @param times how long the thread is kept without work, and how long one text may take, with loading the model. */
export function createBuiltinThread({ idleMs, textMs }: { idleMs: number; textMs: number }): BuiltinThread {
  let running: Worker | null = null;
  let idle: NodeJS.Timeout | undefined;
  const end = async (): Promise<void> => {
    const worker = running;
    running = null;
    clearTimeout(idle);
    await worker?.terminate();
  };
  const start = (): Worker => {
    // execArgv: this process's loaders are not wanted there, the entry registers its own.
    const worker = new Worker(new URL('./builtinWorker.mjs', import.meta.url), {
      name: 'built-in embedder',
      execArgv: [],
    });
    worker.on('error', () => undefined);
    worker.once('exit', () => {
      if (running === worker) running = null;
    });
    return worker;
  };
  const ask = (worker: Worker, text: string): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const settle = (outcome: () => void): void => {
        clearTimeout(late);
        worker.off('exit', ended);
        worker.off('message', answered);
        outcome();
      };
      const fail = (why: string) => settle(() => reject(new Refusal('unavailable', why)));
      const ended = (): void => fail('the thread of the built-in model ended');
      const answered = (vector: unknown): void => settle(() => resolve(vector));
      const late = setTimeout(() => {
        fail(`the built-in model did not answer within ${textMs} ms`);
        void end();
      }, textMs);
      worker.once('exit', ended);
      worker.once('message', answered);
      worker.postMessage(text);
    });
  return {
    async vectorOf(text) {
      clearTimeout(idle);
      const worker = (running ??= start());
      // Only a text under way keeps the process alive.
      worker.ref();
      try {
        return await ask(worker, text);
      } finally {
        worker.unref();
        idle = setTimeout(() => void end(), idleMs).unref();
      }
    },
    running: () => running !== null,
    close: end,
  };
}
