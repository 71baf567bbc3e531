/**
 * The `fetch` that the `ollama` client is given. It is made of `node:http`, not of Node's own `fetch`: that one ends
 * every wait after 300 s (O15: loading a large model takes longer), follows redirects with the prompt in hand (O19) and
 * cannot say when the connection stood, which our connect deadline needs. One connection a call: none is left over to
 * be reset under the next prompt, and closing it stops the server's work (O1).
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { ReadableStream } from 'node:stream/web';
import type { Clock } from '../domain/ports.ts';
import { type OllamaLimits, watchDeadlines } from './ollamaDeadlines.ts';
import { cancelledBy, faultOf, OllamaFault } from './ollamaFault.ts';
import { checkedDocument, checkedLines } from './ollamaLines.ts';

export interface OllamaTransport {
  readonly fetch: typeof fetch;
  /** Whether the server was given the request and has not refused it, so that it may have worked on it. */
  worked(): boolean;
  /** Whether the first byte of the answer came: before it, a call that is given up still holds its slot (O2). */
  answered(): boolean;
  /** Why the call was cut off, when it was. */
  fault(): OllamaFault | null;
  /** Throws when a deadline passes while waiting for something else than bytes; used for our own queue. */
  readonly signal: AbortSignal;
  /** Closes the connection, which stops the server (O1). To be called in a `finally`, always. */
  close(): void;
}

export interface OllamaTransportOptions {
  readonly clock: Clock;
  /** Any of them ends the call. */
  readonly signals: readonly AbortSignal[];
  readonly limits: OllamaLimits;
  /** `lines`: a stream of JSON lines, checked one by one; `document`: one JSON document, checked whole. */
  readonly answer: 'lines' | 'document';
  /** Of the whole answer. */
  readonly maxBytes: number;
}

/** Longest text of an error answer that is read. */
const MAX_ERROR_BYTES = 64 * 1024;
const MAX_RETRY_AFTER_MS = 3_600_000;

/** For one call: the client object that gets this `fetch` is thrown away with it (O4). */
export function createOllamaTransport(options: OllamaTransportOptions): OllamaTransport {
  const deadlines = watchDeadlines(options.clock, options.limits, options.signals);
  let sent = false;
  let refused = false;
  let answered = false;
  const fetchOnce = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input);
    const response = await exchange(url, init ?? {}, {
      signal: deadlines.signal,
      connecting: () => deadlines.expect('connect'),
      connected: () => ((sent = true), deadlines.expect('firstByte')),
    });
    answered = true;
    const status = response.statusCode ?? 0;
    const chunks = timed(
      response,
      () => deadlines.expect('chunk'),
      () => deadlines.idle(),
    );
    refused = status < 200 || status > 299;
    if (refused) throw await statusFault(response, chunks, options.clock);
    const checked =
      options.answer === 'lines' ? checkedLines(chunks, options.maxBytes) : checkedDocument(chunks, options.maxBytes);
    return new Response(ReadableStream.from(checked), { headers: { 'content-type': 'application/json' } });
  };
  return {
    fetch: fetchOnce,
    worked: () => sent && !refused,
    answered: () => answered,
    fault: () => (deadlines.signal.aborted ? cancelledBy(deadlines.signal) : null),
    signal: deadlines.signal,
    close: deadlines.stop,
  };
}

interface Exchange {
  readonly signal: AbortSignal;
  readonly connecting: () => void;
  readonly connected: () => void;
}

function exchange(url: URL, init: RequestInit, hooks: Exchange): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    if (hooks.signal.aborted) return reject(cancelledBy(hooks.signal));
    const body = typeof init.body === 'string' ? Buffer.from(init.body) : null;
    const outgoing = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
      method: init.method ?? 'GET',
      headers: { ...Object.fromEntries(new Headers(init.headers)), ...(body ? { 'content-length': body.length } : {}) },
      agent: false,
    });
    let incoming: IncomingMessage | undefined;
    const cut = (): void => {
      const fault = cancelledBy(hooks.signal);
      incoming?.destroy(fault);
      outgoing.destroy(fault);
    };
    hooks.signal.addEventListener('abort', cut, { once: true });
    // The client's own signal, behind `iterator.abort()`.
    init.signal?.addEventListener('abort', cut, { once: true });
    hooks.connecting();
    outgoing.once('socket', (socket) => {
      socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', hooks.connected);
    });
    outgoing.once('response', (response) => {
      incoming = response;
      // Without a listener an abort between two reads would end the process.
      response.on('error', () => undefined);
      resolve(response);
    });
    outgoing.on('error', (error) => reject(faultOf(error)));
    outgoing.end(body ?? undefined);
  });
}

/** The chunk deadline runs only while we wait for the server, not while the reader is slow. */
async function* timed(response: IncomingMessage, waiting: () => void, got: () => void): AsyncGenerator<Buffer> {
  try {
    waiting();
    for await (const chunk of response as AsyncIterable<Buffer>) {
      got();
      yield chunk;
      waiting();
    }
  } catch (error) {
    throw faultOf(error);
  } finally {
    got();
    response.destroy();
  }
}

async function statusFault(
  response: IncomingMessage,
  chunks: AsyncIterable<Buffer>,
  clock: Clock,
): Promise<OllamaFault> {
  const status = response.statusCode ?? 0;
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    pieces.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_ERROR_BYTES) break;
  }
  const said = Buffer.concat(pieces).toString('utf8', 0, MAX_ERROR_BYTES);
  const retryAfterMs = parseRetryAfter(response.headers['retry-after'], clock.now());
  return new OllamaFault('status', `Ollama answered with status ${status}`, {
    status,
    said: errorText(said),
    retryAfterMs,
  });
}

function errorText(said: string): string {
  try {
    const parsed: unknown = JSON.parse(said);
    if (typeof parsed === 'object' && parsed !== null && 'error' in parsed && typeof parsed.error === 'string')
      return parsed.error;
  } catch {
    // Not JSON: taken as it is.
  }
  return said;
}

/** RFC 9110 §10.2.3: seconds or a date. The client loses it (O14). */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const seconds = /^\d{1,9}$/.test(value.trim());
  // `Date.parse` takes `-5` for a month.
  if (!seconds && !/^[A-Z][a-z]{2}/.test(value)) return undefined;
  const ms = seconds ? Number(value) * 1000 : Date.parse(value) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.min(MAX_RETRY_AFTER_MS, Math.max(0, ms));
}
