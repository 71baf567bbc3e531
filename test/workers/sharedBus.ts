import type { Bus, WakeUp } from '../../domain/ports.ts';
import { createMemoryBus } from '../../infra/memoryBus.ts';

/** One bus for several engines, as between processes, that counts and loses what it is told to. */
export interface SharedBus {
  /** What each engine is given. */
  readonly of: () => Bus;
  readonly woken: readonly WakeUp[];
  /** Wake-ups that were handed out and not acknowledged. */
  unacknowledged(): number;
  /** Wake-ups that are not carried. */
  lose: (wakeUp: WakeUp) => boolean;
}

/** Loses nothing at first. */
export function createSharedBus(): SharedBus {
  const inner = createMemoryBus();
  const woken: WakeUp[] = [];
  const out = new Set<symbol>();
  const shared: SharedBus = {
    of: () => bus,
    woken,
    unacknowledged: () => out.size,
    lose: () => false,
  };
  const bus: Bus = {
    ...inner,
    async wake(wakeUp) {
      woken.push(wakeUp);
      if (!shared.lose(wakeUp)) await inner.wake(wakeUp);
    },
    async *wakeUps(options) {
      for await (const { wakeUp } of inner.wakeUps(options)) {
        const one = Symbol(wakeUp.turnId);
        out.add(one);
        yield { wakeUp, ack: () => void out.delete(one) };
      }
    },
  };
  return shared;
}
