/** The end of the log in memory, fed by the process's one subscription, for all subscribers. */
import type { Clock } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import type { EventStoreDbDeadlines } from './eventstoredbConnection.ts';
import { unavailable } from './eventstoredbFault.ts';
import { createLive } from './eventstoredbLive.ts';
import type { Reads } from './eventstoredbReads.ts';
import { createWaiters, type FollowedTail } from './tailFollow.ts';
import { createRing } from './tailRing.ts';

/** How often a position beyond the end is looked for again: a new leader may be a moment behind. */
const BEYOND = { times: 10, everyMs: 500 };

export interface Tail extends FollowedTail {
  /** Begins to listen; further calls do nothing. */
  start(): void;
  /** An append of this process was written here. */
  appended(position: number): void;
  close(): Promise<void>;
  stats(): { events: number; chars: number; waiting: number; connected: boolean; subscribed: number };
}

export interface TailOptions {
  readonly reads: Reads;
  readonly deadlines: EventStoreDbDeadlines;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly onError: (error: Error) => void;
}

/** Knows nothing before the first `refresh`, listens from `start` on. */
export function createTail({ reads, deadlines, clock, onError }: TailOptions): Tail {
  const ring = createRing();
  const waiters = createWaiters();
  /** The highest position heard of; ahead of the ring while its event is on its way. */
  let known = 0;
  let placed = false;
  let looking: Promise<void> | null = null;
  const goesOn = (position: number): boolean => Math.max(known, ring.end()) > position;

  const look = async (): Promise<void> => {
    known = Math.max(known, await reads.head());
    waiters.wake();
  };
  const place = async (): Promise<number> => {
    if (!placed) {
      await look();
      ring.restart(known);
      placed = true;
      waiters.wake();
    }
    return ring.end();
  };
  const live = createLive({
    ...{ reads, deadlines, clock, place, onError },
    onRows(rows) {
      ring.push(rows, ring.end());
      waiters.wake();
    },
  });
  return {
    start: () => live.start(),
    appended: (position) => void (known = Math.max(known, position)),
    async refresh(position) {
      // A look that is under way may have been sent before what the caller has seen was committed.
      await looking?.catch(() => undefined);
      await (looking ??= look().finally(() => (looking = null)));
      for (let i = 0; position > known && i < BEYOND.times; i += 1) {
        await clock.sleep(BEYOND.everyMs);
        await look();
      }
      if (position > known)
        throw new Refusal('invalid', `the log ends before position ${position}: it was restored to an older state`);
      if (position <= 0 || position === known || (await reads.holds(position))) return;
      throw new Refusal('invalid', `position ${position} is none of this log: no event ends there`);
    },
    async take(position, limit) {
      if (placed && position >= ring.floor()) return ring.slice(position);
      const { rows } = await reads.after(position, limit);
      if (rows.length === 0 && placed && ring.floor() > position)
        throw unavailable(`EventStoreDB shows nothing behind ${position}, though its log goes on`);
      return rows;
    },
    goesOn,
    grown: (position, signal) => waiters.until(() => placed && ring.end() > position, signal),
    close: () => live.close(),
    stats: () => ({ ...ring.stats(), ...live.stats(), waiting: waiters.count() }),
  };
}
