/** Subscribers of a log whose end is kept in memory: knows no technology. */
import type { Codec } from '../domain/codec.ts';
import type { Clock, Slice } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { PAGE_EVENTS } from './logPages.ts';
import { decodeEntries, type TailEntry } from './tailRing.ts';

/** Who looks at the beginning only, or wants the first event soon, waits for a few. */
const FIRST_EVENTS = 64;
const RETRY_MS = { first: 50, longest: 5_000 };

/** The end of the log, as a subscriber sees it. */
export interface FollowedTail {
  /**
   * Finds the end, as it is after this call. Rejects with `Refusal('invalid')` when the log holds no such position: the
   * subscription then ends with it; anything else is tried again.
   */
  refresh(position: number): Promise<void>;
  /** Entries behind a position, `limit` of them where they must be fetched, else 1,000 at most; none at the known end. */
  take(position: number, limit: number): Promise<readonly TailEntry[]>;
  /** Whether the log is known to go on behind a position. */
  goesOn(position: number): boolean;
  /** Resolves when `take` has something behind the position, or when the signal aborts. */
  grown(position: number, signal: AbortSignal): Promise<void>;
}

interface Following {
  readonly tail: FollowedTail;
  readonly codec: Codec;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly onError: (error: Error) => void;
}

export interface FollowOptions extends Following {
  /** Told when a subscription begins: what feeds the tail may start. */
  readonly onBegin: () => void;
}

export interface Subscriptions {
  subscribe(after: bigint, signal: AbortSignal): AsyncIterable<Slice>;
  /** Ends all subscriptions; later ones end at once. */
  close(): void;
  count(): number;
}

/** The `subscribe` of the EventStore port over one tail, for any number of subscribers. */
export function createSubscriptions(options: FollowOptions): Subscriptions {
  const under = new Set<AbortController>();
  let closed = false;
  return {
    subscribe(after, signal) {
      const stop = new AbortController();
      const begin = (): void => {
        if (closed || signal.aborted) return stop.abort();
        under.add(stop);
        options.onBegin();
      };
      const slices = slicesOf(options, Number(after), stop.signal);
      return leavable(slices, { signal, stop, begin, end: () => void under.delete(stop) });
    },
    close() {
      closed = true;
      for (const stop of under) stop.abort();
    },
    count: () => under.size,
  };
}

/** Slices from a position on until the signal aborts; trouble with the server is waited out. */
async function* slicesOf(following: Following, after: number, signal: AbortSignal): AsyncGenerator<Slice> {
  const { tail, codec, clock, onError } = following;
  let position = after;
  let fresh = false;
  let toldCaughtUp = false;
  let retryMs = RETRY_MS.first;
  let limit = FIRST_EVENTS;
  while (!signal.aborted) {
    let slice: Slice | null = null;
    try {
      if (!fresh) await tail.refresh(position);
      fresh = true;
      const entries = await tail.take(position, limit);
      limit = Math.min(limit * 4, PAGE_EVENTS);
      const events = await decodeEntries(codec, entries);
      position = entries.at(-1)?.position ?? position;
      const caughtUp = !tail.goesOn(position);
      if (events.length > 0 || (caughtUp && !toldCaughtUp)) slice = { events, caughtUp };
      retryMs = RETRY_MS.first;
    } catch (error) {
      if (error instanceof Refusal && error.code === 'invalid') throw error;
      onError(error instanceof Error ? error : new Error(String(error)));
      await clock.sleep(retryMs, signal);
      retryMs = Math.min(retryMs * 2, RETRY_MS.longest);
      continue;
    }
    if (signal.aborted) return;
    if (slice === null) await tail.grown(position, signal);
    else {
      toldCaughtUp = slice.caughtUp;
      yield slice;
    }
  }
}

interface Leaving {
  readonly signal: AbortSignal;
  readonly stop: AbortController;
  readonly begin: () => void;
  readonly end: () => void;
}

/**
 * An iterator that `return` ends even while `next` waits: a generator alone would only see it after the next event. It
 * holds nothing before the first `next`.
 */
function leavable(slices: AsyncGenerator<Slice>, { signal, stop, begin, end }: Leaving): AsyncIterableIterator<Slice> {
  let begun = false;
  const leave = (): void => {
    signal.removeEventListener('abort', leave);
    stop.abort();
    end();
  };
  const iterator: AsyncIterableIterator<Slice> = {
    [Symbol.asyncIterator]: () => iterator,
    async next() {
      if (!begun) {
        begun = true;
        signal.addEventListener('abort', leave);
        begin();
      }
      const result = await slices.next().catch((error: unknown) => {
        leave();
        throw error;
      });
      if (result.done) leave();
      return result;
    },
    async return() {
      leave();
      return await slices.return(undefined);
    },
  };
  return iterator;
}

/** Those who wait for the log to go on. */
export interface Waiters {
  /** Lets every waiter look at its condition. */
  wake(): void;
  /** Resolves when the condition holds, or when the signal aborts. */
  until(condition: () => boolean, signal: AbortSignal): Promise<void>;
  count(): number;
}

/** Nobody waits at first. */
export function createWaiters(): Waiters {
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
