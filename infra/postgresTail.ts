/**
 * The end of the log in memory, once per process, for all its subscriptions: fed by this process's own commits and by
 * shared reads, so that a live subscriber costs no statement and an event is decoded once however many look at it.
 */
import type { Codec } from '../domain/codec.ts';
import type { RecordedEvent } from '../domain/envelope.ts';
import { PAGE_EVENTS, type Reads, type StoredRow } from './postgresReads.ts';
import { createRing, type TailEntry } from './postgresTailRing.ts';

/** Batches of this process under way at once, and some more behind another process's commit. */
const EARLY_BATCHES = 4;

export interface Tail {
  /** Rows committed by this process, in order. */
  committed(rows: readonly StoredRow[]): void;
  /** The log is known to reach at least this position. */
  reached(position: number): void;
  /** Reads what is new behind the end, after this call. The first call finds the end. */
  refresh(): Promise<void>;
  /** Entries behind a position, at most 1,000; none when it is the end of the log as far as known. */
  take(position: number): Promise<readonly TailEntry[]>;
  /** Whether the log is known to go on behind a position. */
  goesOn(position: number): boolean;
  /** Resolves when the log goes on behind the position, or when the signal aborts. */
  grown(position: number, signal: AbortSignal): Promise<void>;
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
    for (let next; (next = early.find((rows) => rows[0]?.position === ring.end() + 1));) ring.push(next);
    early = early.filter((rows) => (rows[0]?.position ?? 0) > ring.end());
  };
  const readOn = async (): Promise<void> => {
    if (!placed) {
      ring.restart((await reads.head()) + 1);
      placed = true;
    }
    const heardOf = known;
    const { rows } = await reads.after(ring.end(), PAGE_EVENTS);
    ring.push(rows);
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
      if (position >= ring.start() - 1) return ring.slice(position);
      const { rows } = await reads.after(position, PAGE_EVENTS);
      return rows;
    },
    goesOn,
    grown: (position, signal) => waiters.until(() => goesOn(position), signal),
    stats: () => ({ ...ring.stats(), waiting: waiters.count() }),
  };
}

interface Waiters {
  /** Lets every waiter look at its condition. */
  wake(): void;
  /** Resolves when the condition holds, or when the signal aborts. */
  until(condition: () => boolean, signal: AbortSignal): Promise<void>;
  count(): number;
}

function createWaiters(): Waiters {
  const checks = new Set<() => void>();
  return {
    wake() {
      for (const check of checks) check();
    },
    async until(condition, signal) {
      if (signal.aborted || condition()) return;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          checks.delete(check);
          signal.removeEventListener('abort', done);
          resolve();
        };
        const check = (): void => {
          if (condition()) done();
        };
        checks.add(check);
        signal.addEventListener('abort', done);
      });
    },
    count: () => checks.size,
  };
}

/** Decodes what nobody decoded yet, in one go; a failure is forgotten, so that the next reader tries again. */
export async function decodeEntries(codec: Codec, entries: readonly TailEntry[]): Promise<RecordedEvent[]> {
  const missing = entries.filter((entry) => entry.decoded === undefined);
  if (missing.length > 0) {
    const batch = decodeRows(codec, missing);
    for (const [i, entry] of missing.entries()) {
      entry.decoded = batch.then((events) => {
        const event = events[i];
        if (event === undefined) throw new Error('the codec answered fewer events than it was given');
        return event;
      });
      entry.decoded.catch(() => delete entry.decoded);
    }
  }
  const events: RecordedEvent[] = [];
  for (const { decoded } of entries) if (decoded !== undefined) events.push(await decoded);
  return events;
}

/** Rows as the port shows them, upcast and unsealed. */
export async function decodeRows(codec: Codec, rows: readonly StoredRow[]): Promise<RecordedEvent[]> {
  const decoded = await codec.decode(rows);
  return rows.map((row, i) => {
    const event = decoded[i];
    if (event === undefined) throw new Error('the codec answered fewer events than it was given');
    return { ...event, stream: row.stream, revision: row.revision, position: BigInt(row.position) };
  });
}
