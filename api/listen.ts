/** An http server with time limits that ends in order: answers under way are finished, streams are told, then it is over. */
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Clock, Ids } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { problemOf } from './problem.ts';

export interface ListenOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** When the port is taken: try the next ones, at most 20. */
  readonly nextFreePort?: boolean;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Tells open streams to reconnect elsewhere and ends them; called once, at the start of a drain. */
  readonly endStreams?: () => Promise<void>;
  /** How long a drain waits before it cuts what is still open; 20 s unless said (the process has 25 s in all). */
  readonly drainMs?: number;
  /** Until a request's headers are complete; 10 s unless said. */
  readonly headersTimeoutMs?: number;
  /** Until a whole request has arrived; 30 s unless said. It does not bind answers, so streams live on. */
  readonly requestTimeoutMs?: number;
  /** An idle connection is kept this long; 65 s unless said, more than load balancers' usual 60. */
  readonly keepAliveTimeoutMs?: number;
  /** Most connections at once; more are cut at once. 2,000 unless said: below the usual limit of descriptors. */
  readonly maxConnections?: number;
}

export interface Listening {
  readonly url: string;
  readonly port: number;
  readonly server: Server;
  /** Resolves when every connection is closed. Repeated calls share the first one's outcome. */
  drain(): Promise<void>;
}

const PORTS_TO_TRY = 20;
const MAX_HEADER_BYTES = 16 * 1024;
/** Node's own 30 s would let a slow client overstay every limit by that much. */
const CHECK_INTERVAL_MS = 1_000;
/** A peer that takes nothing and sends nothing is gone; streams send a heartbeat every 15 s. */
const IDLE_SOCKET_MS = 120_000;
const DRAIN_POLL_MS = 25;

/** @throws the server's own error when it cannot listen, e.g. with code EADDRINUSE. */
export async function listen(listener: RequestListener, options: ListenOptions): Promise<Listening> {
  const answering = new Set<ServerResponse>();
  let draining: Promise<void> | undefined;
  const server = createServer(
    {
      headersTimeout: options.headersTimeoutMs ?? 10_000,
      requestTimeout: options.requestTimeoutMs ?? 30_000,
      keepAliveTimeout: options.keepAliveTimeoutMs ?? 65_000,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    (req, res) => {
      answering.add(res);
      res.once('close', () => answering.delete(res));
      if (draining) res.setHeader('Connection', 'close');
      listener(req, res);
    },
  );
  server.maxConnections = options.maxConnections ?? 2_000;
  server.setTimeout(IDLE_SOCKET_MS);
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) =>
    answerUnreadable(error, socket, options.ids),
  );
  const port = await bind(server, options);
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  return {
    url: `http://${host}:${port}`,
    port,
    server,
    drain: () => (draining ??= drain(server, answering, options)),
  };
}

async function bind(server: Server, { host, port, nextFreePort }: ListenOptions): Promise<number> {
  const last = nextFreePort && port !== 0 ? Math.min(port + PORTS_TO_TRY, 65_535) : port;
  for (let candidate = port; ; candidate += 1) {
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(candidate, host, () => {
          server.removeListener('error', reject);
          resolve();
        });
      });
      return (server.address() as AddressInfo).port;
    } catch (error) {
      const busy = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
      if (!busy || candidate >= last) throw error;
    }
  }
}

/**
 * `server.close()` alone never returns while one stream is open, nor while a client keeps a connection alive by asking
 * again and again. So: no new connections, `Connection: close` on what is being answered, idle ones closed as they
 * become idle, streams ended by their owner, and after `drainMs` the rest is cut.
 */
async function drain(server: Server, answering: ReadonlySet<ServerResponse>, options: ListenOptions): Promise<void> {
  const { clock } = options;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  let open = true;
  void closed.then(() => (open = false));
  for (const res of answering) if (!res.headersSent) res.setHeader('Connection', 'close');
  const deadlineMs = clock.monotonic() + (options.drainMs ?? 20_000);
  // Not awaited: a hook that never ends must not keep the server from ending.
  void options.endStreams?.().catch(() => undefined);
  while (open && clock.monotonic() < deadlineMs) {
    server.closeIdleConnections();
    await Promise.race([closed, clock.sleep(DRAIN_POLL_MS)]);
  }
  server.closeAllConnections();
  await closed;
}

/** What node refuses before there is a request (bad syntax, headers too large, too slow): still a problem document. */
function answerUnreadable(error: NodeJS.ErrnoException, socket: Socket, ids: Ids): void {
  if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesWritten > 0) return void socket.destroy();
  const refusal =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? new Refusal('too-large', `the request line and headers are larger than ${MAX_HEADER_BYTES / 1024} KiB`)
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? new Refusal('invalid', 'the request did not arrive in time')
        : new Refusal('invalid', 'this is not an HTTP/1.1 request');
  const requestId = ids.next();
  const { problem } = problemOf(refusal, { instance: '', requestId });
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${problem.status} ${problem.title}\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
      `Request-Id: ${requestId}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n${body}`,
  );
}
