/**
 * Notices a Weaviate that was killed and started again between two calls (W1): holds a connection of its own open, and
 * asks over it now and then, so that nothing on the way closes it for being idle, and a server that froze is noticed.
 */
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Clock } from '../domain/ports.ts';
import { checkedWeaviateUrl } from './weaviateTransport.ts';

const ASK_EVERY_MS = 5_000;
/** Without an answer it is lost. */
const QUIET_MS = 10_000;
/** The pause before it is connected again; the longest one bounds the alarms where each connection is closed at once. */
const RETRY_MS = { first: 100, longest: 60_000 };
/** A connection that stood so long was a good one. */
const GOOD_MS = 60_000;

/**
 * Calls `onLost` once whenever the connection is lost, or cannot be made for the first time, and then not before it stood
 * again. Ends with the signal, and keeps no process alive.
 * @throws Refusal `invalid` when the URL cannot be used.
 */
export function watchWeaviate(options: { url: string; clock: Clock; onLost: () => void; signal: AbortSignal }): void {
  const { clock, onLost, signal } = options;
  const url = new URL(checkedWeaviateUrl(options.url));
  let up = true;
  const lost = (): void => {
    if (!up || signal.aborted) return;
    up = false;
    onLost();
  };
  const run = async (): Promise<void> => {
    let retryMs = RETRY_MS.first;
    while (!signal.aborted) {
      const startedMs = clock.monotonic();
      await holdConnection(url, signal, () => (up = true));
      lost();
      if (clock.monotonic() - startedMs > GOOD_MS) retryMs = RETRY_MS.first;
      await pause(retryMs, signal);
      retryMs = Math.min(retryMs * 2, RETRY_MS.longest);
    }
  };
  void run();
}

/** Ends when the connection does, when no answer comes in time or a bad one, and with the signal; never rejects. */
function holdConnection(url: URL, signal: AbortSignal, onAnswer: () => void): Promise<void> {
  return new Promise((resolve) => {
    const socket = open(url);
    const request = `GET ${url.pathname.replace(/\/$/, '')}/v1/.well-known/live HTTP/1.1\r\nhost: ${url.host}\r\n\r\n`;
    const ask = (): void => void socket.write(request);
    const asking = setInterval(ask, ASK_EVERY_MS).unref();
    const end = (): void => {
      clearInterval(asking);
      signal.removeEventListener('abort', end);
      socket.destroy();
      resolve();
    };
    // The time to connect counts, too.
    let answeredMs = performance.now();
    const checking = setInterval(() => performance.now() - answeredMs > QUIET_MS && end(), ASK_EVERY_MS / 5).unref();
    socket.unref();
    socket.setNoDelay(true);
    socket.once('connect', ask);
    socket.on('data', (chunk: Buffer) => {
      answeredMs = performance.now();
      // A proxy whose server is away answers for it.
      if (/^HTTP\/1\.\d [^2]/.test(chunk.toString('latin1', 0, 20))) end();
      else onAnswer();
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearInterval(checking);
      end();
    });
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
  });
}

function open({ protocol, hostname, port }: URL): Socket {
  const host = hostname.replace(/^\[|\]$/g, '');
  if (protocol === 'https:') return connectTls({ host, port: Number(port || 443), servername: host });
  return connectPlain({ host, port: Number(port || 80) });
}

/** Unlike a clock's, it keeps no process alive. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms).unref();
    signal.addEventListener('abort', done, { once: true });
  });
}
