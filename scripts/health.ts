import type { Health } from '../api/systemRoutes.ts';
import type { RunningEngine } from './engine.ts';

/** A check that takes longer than this has failed. */
const CHECK_MS = 1_500;

/** Ready while the log answers; what only degrades is reported beside it. */
export function healthOf(running: RunningEngine, stopping: { readonly now: boolean }): Health {
  return {
    live: () => !stopping.now,
    async ready() {
      const log = await answers(running.storage.store.head());
      const ready = log && !stopping.now;
      return {
        ready,
        checks: {
          log: log ? { ok: true } : { ok: false, detail: 'the log does not answer' },
          service: stopping.now ? { ok: false, detail: 'it is stopping' } : { ok: true },
        },
      };
    },
  };
}

async function answers(work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), CHECK_MS)));
  const done = work.then(
    () => true,
    () => false,
  );
  return Promise.race([done, late]).finally(() => clearTimeout(timer));
}
