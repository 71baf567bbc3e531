/** Hears of commits: by LISTEN on a connection of its own, and by looking at the head now and then. */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Clock } from '../domain/ports.ts';
import { timed } from './postgresQuery.ts';
import { headSql, type Reads } from './postgresReads.ts';

/** How often the head is looked at when LISTEN does not work. */
const POLL_MS = 1_000;
/** How often when it does, on the same connection: a lost peer is only noticed by asking it something. */
const SAFETY_MS = 5_000;
const HEARTBEAT_MS = 3_000;
const RETRY_MS = { first: 100, longest: 5_000 };

export interface Watch {
  /** Begins to watch; further calls do nothing. */
  start(): void;
  listening(): boolean;
  close(): Promise<void>;
}

export interface WatchOptions {
  readonly pool: pg.Pool;
  readonly embedded: boolean;
  readonly reads: Reads;
  readonly clock: Pick<Clock, 'sleep'>;
  /** The name under which this process sends its own notices. */
  readonly writer: string | null;
  readonly onPosition: (position: number) => void;
  readonly onError: (error: Error) => void;
}

/** A notice of our own commit often comes before the commit's answer, which brings the events and spares a read. */
const OWN_NOTICE_MS = 250;

/** Real timers, for when no clock is handed in. */
export const realSleep = {
  sleep: async (ms: number, signal?: AbortSignal): Promise<void> =>
    void (await delay(ms, undefined, signal ? { signal } : {}).catch(() => undefined)),
};

/** Holds nothing before `start`; then one connection of its own until `close`. */
export function createWatch(options: WatchOptions): Watch {
  const { embedded, reads, clock, onPosition, onError } = options;
  const stopped = new AbortController();
  let running: Promise<unknown> | null = null;
  let connected = false;

  const report = (error: unknown): void => onError(error instanceof Error ? error : new Error(String(error)));
  const poll = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await clock.sleep(embedded ? SAFETY_MS : POLL_MS, stopped.signal);
      if (stopped.signal.aborted || connected) continue;
      await reads.head().then(onPosition, report);
    }
  };
  const listen = async (): Promise<void> => {
    let retryMs = RETRY_MS.first;
    while (!stopped.signal.aborted) {
      await listenOnce(options, stopped.signal, () => {
        connected = true;
        retryMs = RETRY_MS.first;
      }).catch((error: unknown) => {
        if (!stopped.signal.aborted) report(error);
      });
      connected = false;
      if (stopped.signal.aborted) return;
      await clock.sleep(retryMs, stopped.signal);
      retryMs = Math.min(retryMs * 2, RETRY_MS.longest);
    }
  };
  return {
    // PGlite does not deliver notifications, and has no other process to hear from.
    start: () => void (running ??= Promise.all(embedded ? [poll()] : [poll(), listen()])),
    listening: () => connected,
    async close() {
      stopped.abort();
      await running;
    },
  };
}

/** One connection's life: resolves when the signal aborts, rejects when the connection is lost. */
async function listenOnce(options: WatchOptions, signal: AbortSignal, onConnected: () => void): Promise<void> {
  const { pool, clock, onPosition, writer } = options;
  const client = new pg.Client(pool.options);
  const over = new AbortController();
  client.on('error', (error) => over.abort(error));
  client.on('end', () => over.abort(new Error('the listening connection ended')));
  const onAbort = (): void => {
    over.abort();
    void client.end().catch(() => undefined);
  };
  let own = 0;
  client.on('notification', ({ payload = '' }) => {
    const [position, from] = payload.split(' ');
    if (from !== writer) return onPosition(Number(position) || 0);
    if (own === 0) void clock.sleep(OWN_NOTICE_MS, over.signal).then(() => (onPosition(own), (own = 0)));
    own = Number(position) || 0;
  });
  signal.addEventListener('abort', onAbort);
  try {
    await client.connect();
    await client.query(timed({ text: 'listen colloquy_log', values: [], deadlineMs: HEARTBEAT_MS }));
    onConnected();
    while (!over.signal.aborted) {
      // First at once: what was committed before LISTEN took effect is not notified.
      const { rows } = await client.query<{ position: string }>(
        timed({ text: headSql, values: [], deadlineMs: HEARTBEAT_MS }),
      );
      onPosition(Number(rows[0]?.position ?? 0));
      await clock.sleep(SAFETY_MS, over.signal);
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    void client.end().catch(() => undefined);
  }
  if (!signal.aborted) over.signal.throwIfAborted();
}
