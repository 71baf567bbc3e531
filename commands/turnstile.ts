import { Refusal } from '../domain/refusal.ts';

/** Commands of one process pass one by one through each stream: fewer conflicts, and first come, first served. */
export interface Turnstile {
  /**
   * Waits for the stream to be free.
   * @param key commandId of a request with an Idempotency-Key; the same one twice at once is refused as `in-flight`.
   * @returns what frees it again.
   * @throws Refusal `unavailable` when too many wait.
   */
  enter(stream: string, key: string | undefined): Promise<() => void>;
}

const MAX_WAITING = 1000;

/** A turnstile for the streams that this process writes. */
export function createTurnstile(): Turnstile {
  const queues = new Map<string, (() => void)[]>();
  const keys = new Set<string>();
  const leave = (stream: string, key: string | undefined) => {
    if (key !== undefined) keys.delete(key);
    const next = queues.get(stream)?.shift();
    if (next === undefined) queues.delete(stream);
    else next();
  };
  return {
    async enter(stream, key) {
      if (key !== undefined && keys.has(key))
        throw new Refusal('in-flight', 'the same request is being worked on: ask again', { retryAfterMs: 1000 });
      const queue = queues.get(stream);
      if (queue !== undefined && queue.length >= MAX_WAITING)
        throw new Refusal('unavailable', 'too many commands wait for this stream', { retryAfterMs: 1000 });
      if (key !== undefined) keys.add(key);
      if (queue === undefined) queues.set(stream, []);
      else await new Promise<void>((resolve) => queue.push(resolve));
      return () => leave(stream, key);
    },
  };
}
