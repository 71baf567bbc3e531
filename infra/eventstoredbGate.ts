/** How many calls are under way at once: a connection has 100 places for all, and what waits is bounded. */
import { unavailable } from './eventstoredbFault.ts';

export interface Gate {
  /** Does the work when there is a place. Rejects with `Refusal('unavailable')`, before it began, when there is none. */
  pass<T>(bytes: number, work: () => Promise<T>): Promise<T>;
  /** Refuses what waits and what comes, resolves when what is under way has ended. */
  close(): Promise<void>;
  stats(): { waiting: number; underWay: number };
}

export interface GateOptions {
  readonly places: number;
  readonly maxWaiting: number;
  readonly maxWaitingBytes: number;
  /** Longest wait for a place, milliseconds. */
  readonly waitMs: number;
}

interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
  readonly refuse: (detail: string) => void;
}

/** First come, first served. */
export function createGate({ places, maxWaiting, maxWaitingBytes, waitMs }: GateOptions): Gate {
  const waiting = new Set<Waiting>();
  let waitingBytes = 0;
  let underWay = 0;
  let closed = false;
  let emptied: (() => void) | undefined;

  const leaveQueue = (one: Waiting): void => {
    if (waiting.delete(one)) waitingBytes -= one.bytes;
  };
  const place = async (bytes: number): Promise<void> => {
    if (closed) throw unavailable('the log is closed');
    if (underWay < places) return void (underWay += 1);
    if (waiting.size >= maxWaiting || waitingBytes + bytes > maxWaitingBytes)
      throw unavailable('too many calls wait for EventStoreDB');
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => one.refuse('EventStoreDB is behind with what it was sent before'), waitMs);
      const one: Waiting = {
        bytes,
        go: () => (clearTimeout(timer), leaveQueue(one), resolve()),
        refuse: (detail) => (clearTimeout(timer), leaveQueue(one), reject(unavailable(detail))),
      };
      waiting.add(one);
      waitingBytes += bytes;
    });
  };
  const free = (): void => {
    const [next] = waiting;
    // The place is handed on, not given back.
    if (next !== undefined) return next.go();
    underWay -= 1;
    if (underWay === 0) emptied?.();
  };
  return {
    async pass(bytes, work) {
      await place(bytes);
      try {
        return await work();
      } finally {
        free();
      }
    },
    async close() {
      closed = true;
      for (const one of waiting) one.refuse('the log is closed');
      if (underWay > 0) await new Promise<void>((resolve) => (emptied = resolve));
    },
    stats: () => ({ waiting: waiting.size, underWay }),
  };
}
