/**
 * The end of the log in memory, once per process, for all its subscriptions: fed by this process's own commits and by
 * shared reads, so that a live subscriber costs no statement and an event is decoded once however many look at it.
 */
import { PAGE_EVENTS, type StoredRow } from './logPages.ts';
import type { Reads } from './postgresReads.ts';
import { createWaiters, type FollowedTail } from './tailFollow.ts';
import { createRing } from './tailRing.ts';

/** Batches of this process under way at once, and some more behind another process's commit. */
const EARLY_BATCHES = 4;

export interface Tail extends FollowedTail {
  /** Rows committed by this process, in order. */
  committed(rows: readonly StoredRow[]): void;
  /** The log is known to reach at least this position. */
  reached(position: number): void;
  stats(): { events: number; chars: number; waiting: number };
}

/** Knows nothing before the first `refresh`; `reads` are the only statements it sends. */
export function createTail(reads: Reads): Tail {
  const ring = createRing();
  /** The highest position heard of; ahead of the ring when another process committed. */
  let known = 0;
  let placed = false;
  let reading: Promise<void> | null = null;
  /** Own commits whose answers came before that of the commit in front of them. */
  let early: (readonly StoredRow[])[] = [];
  const waiters = createWaiters();
  const goesOn = (position: number): boolean => Math.max(known, ring.end()) > position;

  const takeEarly = (): void => {
    if (!placed) early = [];
    for (let next; (next = early.find((rows) => rows[0]?.position === ring.end() + 1));) ring.push(next, ring.end());
    early = early.filter((rows) => (rows[0]?.position ?? 0) > ring.end());
  };
  const readOn = async (): Promise<void> => {
    if (!placed) ring.restart(await reads.head());
    placed = true;
    const heardOf = known;
    const end = ring.end();
    const { rows } = await reads.after(end, PAGE_EVENTS);
    ring.push(rows, end);
    takeEarly();
    // A notice may name a position that never came to be; believing it would make subscribers read in a circle. Only
    // what was heard before the read was sent can be doubted by it.
    if (rows.length === 0 && known === heardOf) known = ring.end();
    waiters.wake();
  };
  const shared = (): Promise<void> => (reading ??= readOn().finally(() => (reading = null)));

  return {
    committed(rows) {
      known = Math.max(known, rows.at(-1)?.position ?? 0);
      early = [...early, rows].slice(-EARLY_BATCHES);
      takeEarly();
      waiters.wake();
    },
    reached(position) {
      known = Math.max(known, position);
      waiters.wake();
    },
    async refresh() {
      // A read that is under way may have been sent before what the caller has seen was committed.
      await reading?.catch(() => undefined);
      await shared();
    },
    async take(position) {
      if (position >= ring.end() && known > ring.end()) await shared();
      if (position >= ring.end()) return [];
      if (position >= ring.floor()) return ring.slice(position);
      const { rows } = await reads.after(position, PAGE_EVENTS);
      return rows;
    },
    goesOn,
    grown: (position, signal) => waiters.until(() => goesOn(position), signal),
    stats: () => ({ ...ring.stats(), waiting: waiters.count() }),
  };
}
