/** One connection to NATS that comes back by itself, for as long as the process lives. */
import { connect, type ConnectionOptions, DebugEvents, Events, type NatsConnection } from 'nats';
import type { Clock } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';

const CONNECT_MS = 4_000;
const CLOSE_MS = 2_000;
const RETRY_MS = { first: 100, longest: 5_000 };
/** A server that froze is given up after two pings without an answer. */
const PING_MS = 5_000;

export interface NatsLink {
  /** The connection while it is up, else null. */
  current(): NatsConnection | null;
  /** The connection as soon as it is up; null when the signal aborts or the link is closed. */
  up(signal: AbortSignal): Promise<NatsConnection | null>;
  /** Counts how often the connection came up: what was known of the server before may no longer be so. */
  epoch(): number;
  /** Calls back whenever the connection comes up or is lost. @returns what ends it. */
  onChange(listener: () => void): () => void;
  /** Why there is no connection, null when nothing is known. */
  trouble(): unknown;
  /** Where it connects to, without secrets. */
  readonly servers: string;
  close(): Promise<void>;
}

export interface NatsLinkOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly onFault: (error: unknown) => void;
}

/** Begins to connect, and goes on for ever with pauses; never throws for a server that is not there. */
export function connectNats(given: NatsLinkOptions): NatsLink {
  const { clock } = given;
  const { servers, options } = parseNatsUrl(given.url);
  const stopped = new AbortController();
  const listeners = new Set<() => void>();
  const state: State = { nc: null, up: false, epoch: 0, trouble: null };
  const change = (isUp: boolean) => {
    if (state.up === isUp) return;
    state.up = isUp;
    if (isUp) state.epoch += 1;
    for (const listener of [...listeners]) listener();
  };
  const onChange = (listener: () => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };
  const running = keepConnected(given, options, state, change, stopped.signal);
  const current = () => (state.up && state.nc !== null && !state.nc.isClosed() ? state.nc : null);
  return {
    current,
    async up(signal) {
      while (!signal.aborted && !stopped.signal.aborted) {
        const there = current();
        if (there !== null) return there;
        await changed(onChange, AbortSignal.any([signal, stopped.signal]));
      }
      return null;
    },
    epoch: () => state.epoch,
    onChange,
    trouble: () => state.trouble,
    servers,
    async close() {
      stopped.abort();
      const flushed = state.nc?.flush().catch(() => undefined) ?? Promise.resolve();
      if (state.up) await within(clock, CLOSE_MS, 'closing', flushed).catch(() => undefined);
      await state.nc?.close().catch(() => undefined);
      await within(clock, CONNECT_MS, 'closing', running).catch(() => undefined);
    },
  };
}

interface State {
  nc: NatsConnection | null;
  up: boolean;
  epoch: number;
  trouble: unknown;
}

async function keepConnected(
  { clock, onFault }: NatsLinkOptions,
  options: ConnectionOptions,
  state: State,
  change: (isUp: boolean) => void,
  stopped: AbortSignal,
): Promise<void> {
  const watch = async (connection: NatsConnection) => {
    for await (const { type, data } of connection.status()) {
      if (connection !== state.nc) return;
      if (type === Events.Disconnect || type === DebugEvents.StaleConnection) change(false);
      if (type === Events.Reconnect) change(true);
      if (type === Events.Error) onFault(new Error(`NATS: ${JSON.stringify(data)}`));
    }
  };
  let retryMs = RETRY_MS.first;
  while (!stopped.aborted) {
    try {
      const connection = await connect(options);
      retryMs = RETRY_MS.first;
      state.trouble = null;
      if (stopped.aborted) await connection.close();
      else {
        state.nc = connection;
        // Not waited for: it does not end with the connection.
        void watch(connection);
        change(true);
        await connection.closed();
      }
    } catch (error) {
      state.trouble = error;
      onFault(error);
    }
    state.nc = null;
    change(false);
    await clock.sleep(retryMs, stopped);
    retryMs = Math.min(retryMs * 2, RETRY_MS.longest);
  }
}

function changed(onChange: NatsLink['onChange'], signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      off();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const off = onChange(done);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}

/**
 * Servers separated by commas, each `[nats|tls://][user:password@|token@]host[:port]`; the vendor's client reads no
 * credentials from an address.
 * @throws Refusal `invalid` for what is no address.
 */
export function parseNatsUrl(url: string): { servers: string; options: ConnectionOptions } {
  const parts = url.split(',').map((part) => part.trim());
  const parsed = parts.filter(Boolean).map((part) => {
    const address = part.includes('://') ? part : `nats://${part}`;
    if (!/^(nats|tls):\/\//.test(address) || !URL.canParse(address) || new URL(address).hostname === '')
      throw new Refusal('invalid', 'NATS_URL is no address: write nats://host:4222, several separated by commas');
    return new URL(address);
  });
  const servers = parsed.map(({ hostname, port }) => `${hostname}:${port || 4222}`);
  if (servers.length === 0) throw new Refusal('invalid', 'NATS_URL names no server: write nats://host:4222');
  const named = parsed.find(({ username }) => username !== '');
  const [user = '', pass = ''] = [named?.username, named?.password].map((text) => unescaped(text ?? ''));
  const login = user === '' ? {} : pass === '' ? { token: user } : { user, pass };
  const secured = parsed.some(({ protocol }) => protocol === 'tls:') ? { tls: {} } : {};
  return {
    servers: servers.join(', '),
    options: {
      ...{ servers, ...login, ...secured, name: 'colloquy', timeout: CONNECT_MS, pingInterval: PING_MS, maxPingOut: 2 },
      // The vendor's client would give up after two refusals of the same kind, also when the password is put right later.
      ...{
        maxReconnectAttempts: -1,
        ignoreAuthErrorAbort: true,
        reconnectTimeWait: 250,
        reconnectJitter: 250,
        noAsyncTraces: true,
      },
    },
  };
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Refusal('invalid', 'NATS_URL has a % in its user, password or token that starts no escape: write %25');
  }
}

/** The promise, or `Refusal('unavailable')` after `ms`; what comes later is let go. */
export async function within<T>(clock: Clock, ms: number, what: string, promise: Promise<T>): Promise<T> {
  const over = new AbortController();
  const late = clock.sleep(ms, over.signal).then(() => {
    if (over.signal.aborted) return undefined as never;
    throw new Refusal('unavailable', `NATS did not answer within ${ms} ms: ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    // With a reason of its own: else an error with its stack is made for every answer.
    over.abort('answered');
    promise.catch(() => undefined);
  }
}
