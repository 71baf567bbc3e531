import type { Clock, WakeUp } from '../domain/ports.ts';

/** What a lane begins with. */
export type First = WakeUp | null | Promise<WakeUp | null>;

/** What runs at once in this process: so many lanes, each with one turn after the other. */
export interface Lanes {
  isFull(): boolean;
  /** Whether at most one more may be opened. */
  isLast(): boolean;
  /** When, on the monotonic clock, there was room again after all lanes had been in use. */
  roomSinceMs(): number;
  /** Opens a lane, which counts from now on; `ack` acknowledges the wake-up that it begins with. */
  open(first: First, ack?: () => void): void;
  /** Waits for room; false when the signal has aborted. */
  hasRoom(signal: AbortSignal): Promise<boolean>;
  /** Resolves when no lane is open. */
  idle(): Promise<void>;
}

/** @param run what happens in a lane; must not reject. */
export function createLanes(
  concurrency: number,
  clock: Pick<Clock, 'monotonic'>,
  run: (first: First, ack: () => void) => Promise<void>,
): Lanes {
  const lanes = new Set<Promise<void>>();
  const isFull = () => lanes.size >= concurrency;
  let roomSinceMs = clock.monotonic();
  let freed: () => void = () => undefined;
  return {
    isFull,
    isLast: () => lanes.size >= concurrency - 1,
    roomSinceMs: () => roomSinceMs,
    open(first, ack = () => undefined) {
      const lane: Promise<void> = run(first, ack).finally(() => {
        if (isFull()) roomSinceMs = clock.monotonic();
        lanes.delete(lane);
        freed();
      });
      lanes.add(lane);
    },
    async hasRoom(signal) {
      while (isFull() && !signal.aborted) await new Promise<void>((resolve) => (freed = resolve));
      return !signal.aborted;
    },
    async idle() {
      while (lanes.size > 0) await Promise.race(lanes);
    },
  };
}
