import type { Clock } from '../domain/ports.ts';
import { cancelledBy, OllamaFault } from './ollamaFault.ts';

export interface OllamaSlots {
  /**
   * Waits for a slot, in order of arrival. Rejects with the signal's reason, or at once when too many wait.
   * @returns gives the slot back; `busyMs` later, when the server is known to work on.
   */
  take(signal: AbortSignal): Promise<(busyMs: number) => void>;
}

/**
 * Our own queue: Ollama refuses callers only while a model loads, and lets all others wait in silence (O17), where their
 * first-byte deadline would pass.
 */
export function createOllamaSlots(
  clock: Clock,
  closing: AbortSignal,
  sizes: { slots: number; waiting: number },
): OllamaSlots {
  let free = sizes.slots;
  const queue: (() => void)[] = [];
  const giveBack = (): void => {
    const next = queue.shift();
    if (next) next();
    else free += 1;
  };
  const slot = (): ((busyMs: number) => void) => {
    let held = true;
    return (busyMs) => {
      if (!held) return;
      held = false;
      if (busyMs > 0) void clock.sleep(busyMs, closing).then(giveBack);
      else giveBack();
    };
  };
  return {
    async take(signal) {
      if (signal.aborted) throw cancelledBy(signal);
      if (free > 0) {
        free -= 1;
        return slot();
      }
      if (queue.length >= sizes.waiting)
        throw new OllamaFault('busy', 'too many calls wait for Ollama already', { retryAfterMs: 5_000 });
      await new Promise<void>((resolve, reject) => {
        const turn = (): void => {
          signal.removeEventListener('abort', leave);
          resolve();
        };
        const leave = (): void => {
          queue.splice(queue.indexOf(turn), 1);
          reject(cancelledBy(signal));
        };
        signal.addEventListener('abort', leave, { once: true });
        queue.push(turn);
      });
      return slot();
    },
  };
}
