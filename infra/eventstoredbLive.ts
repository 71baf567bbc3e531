/**
 * The one live subscription of a process. The client's subscriptions end without a word when the server dies, and a
 * silent one cannot be told from a quiet log: so it is watched, left and begun again from the last event that came.
 */
import type { ResolvedEvent } from '@eventstore/db-client';
import type { Clock } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import type { EventStoreDbDeadlines } from './eventstoredbConnection.ts';
import { readFailure, unavailable } from './eventstoredbFault.ts';
import { leave } from './eventstoredbGather.ts';
import type { Reads } from './eventstoredbReads.ts';
import { toRow } from './eventstoredbRows.ts';
import type { StoredRow } from './logPages.ts';

const RETRY_MS = { first: 100, longest: 5_000 };
/** What the head already shows may still be on its way to us for so long. */
const ON_ITS_WAY_MS = 1_000;

export interface Live {
  /** Begins; further calls do nothing. */
  start(): void;
  close(): Promise<void>;
  stats(): { connected: boolean; subscribed: number };
}

export interface LiveOptions {
  readonly reads: Reads;
  readonly deadlines: EventStoreDbDeadlines;
  readonly clock: Pick<Clock, 'sleep'>;
  /** Position to go on behind; finds the end of the log at first. */
  readonly place: () => Promise<number>;
  /** Events in the log's order, behind all that came before. */
  readonly onRows: (rows: readonly StoredRow[]) => void;
  readonly onError: (error: Error) => void;
}

/** Holds nothing before `start`; then one call of the connection until `close`. */
export function createLive(options: LiveOptions): Live {
  const stopped = new AbortController();
  const state = { connected: false, subscribed: 0 };
  let running: Promise<void> | null = null;
  const run = async (): Promise<void> => {
    let retryMs = RETRY_MS.first;
    while (!stopped.signal.aborted) {
      const came = await listen(options, state, stopped.signal).catch((error: unknown) => {
        if (!stopped.signal.aborted) options.onError(readFailure(error));
        return false;
      });
      state.connected = false;
      if (came) retryMs = RETRY_MS.first;
      // Jitter: else all processes come back to a server at once.
      await options.clock.sleep(retryMs * (0.5 + Math.random()), stopped.signal);
      retryMs = Math.min(retryMs * 2, RETRY_MS.longest);
    }
  };
  return {
    start: () => void (running ??= run()),
    async close() {
      stopped.abort();
      await running;
    },
    stats: () => ({ ...state }),
  };
}

interface Listening {
  /** Messages so far, events and signs of life alike. */
  messages: number;
  /** Position of the last event. */
  last: number;
  confirmed: boolean;
}

/** One subscription's life. Resolves, with whether any event came, when it is lost or the signal aborts. */
async function listen(
  options: LiveOptions,
  state: { connected: boolean; subscribed: number },
  signal: AbortSignal,
): Promise<boolean> {
  const { reads, onRows, onError } = options;
  const from = await options.place();
  const now: Listening = { messages: 0, last: from, confirmed: false };
  const over = new AbortController();
  const stop = (): void => over.abort(new Error('stopped'));
  const alive = (): void => void (now.messages += 1);
  let gathered: StoredRow[] = [];
  const hand = (): void => {
    const rows = gathered;
    gathered = [];
    if (rows.length > 0 && !over.signal.aborted) onRows(rows);
  };
  const subscription = reads.subscribe(from, alive);
  subscription.on('error', (error) => over.abort(error));
  for (const end of ['end', 'close']) subscription.on(end, () => over.abort(unavailable('the subscription ended')));
  subscription.on('confirmation', () => {
    alive();
    now.confirmed = true;
    state.connected = true;
    state.subscribed += 1;
  });
  subscription.on('data', (event: ResolvedEvent) => {
    alive();
    if (over.signal.aborted) return;
    try {
      const row = toRow(event);
      if (row === null) return;
      now.last = row.position;
      // What came in one turn of the event loop is handed on, and decoded, together.
      if (gathered.push(row) === 1) setImmediate(hand);
    } catch (error) {
      over.abort(error);
    }
  });
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  try {
    await watch(options, now, over.signal);
  } catch (error) {
    if (!signal.aborted) onError(readFailure(error));
  } finally {
    signal.removeEventListener('abort', stop);
    hand();
    stop();
    await leave(subscription);
  }
  return now.last !== from;
}

/** Rejects when the subscription is lost, and with the signal's reason. */
async function watch({ reads, deadlines, clock }: LiveOptions, now: Listening, signal: AbortSignal): Promise<never> {
  await clock.sleep(Math.min(deadlines.quietMs, deadlines.watchMs), signal);
  while (!signal.aborted) {
    if (!now.confirmed) throw unavailable('EventStoreDB did not confirm the subscription in time');
    const { messages, last } = now;
    await clock.sleep(deadlines.watchMs, signal);
    if (signal.aborted || now.messages > messages) continue;
    const head = await reads.head();
    if (head < last)
      throw new Refusal(
        'internal',
        `the log ends at ${head}, before the event at ${last} that was read from it: it was restored to an older state`,
      );
    if (head === last) continue;
    await clock.sleep(ON_ITS_WAY_MS, signal);
    if (now.messages === messages && !signal.aborted) throw unavailable('the subscription does not show new events');
  }
  throw signal.reason;
}
