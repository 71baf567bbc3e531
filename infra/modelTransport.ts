/**
 * The `fetch` that the SDKs of OpenAI and Anthropic are given. It is made of `node:http`, as Ollama's is: Node's own
 * `fetch` cannot say when the connection stood, which our connect deadline needs, and ends every wait after 300 s. It never
 * follows a redirect, since the prompt and the key would go with it. The headers are ours alone: SDKs add some of their
 * own and of the environment, and never see the key. One connection a call: closing it stops the server's work.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { ReadableStream } from 'node:stream/web';
import type { ModelFailure } from '../domain/model.ts';
import type { Clock } from '../domain/ports.ts';
import { type CallDeadlines, type CallLimits, watchDeadlines } from './modelDeadlines.ts';
import { checkedEvents, wholeText } from './modelEvents.ts';
import { brokenCall, endedCall, failureOfError, invalidAnswer, retryAfterOf } from './modelFailures.ts';

export interface ModelTransport {
  readonly fetch: typeof fetch;
  /** Aborts when the call is cut off, whoever did it. */
  readonly signal: AbortSignal;
  /** Why the call came to nothing, when that is not the SDK's finding. */
  failure(): ModelFailure | null;
  /** Status of the answer and, of a refusal, its text: for telling an unknown model from an unknown route. */
  answered(): { readonly status: number; readonly said: string } | null;
  /** Whether the server was given the request and has not refused it, so that it may have worked on it. */
  worked(): boolean;
  /** From now on the call lasts `ms` at most. */
  readonly within: (ms: number) => void;
  /** Closes the connection. To be called in a `finally`, always. */
  readonly close: () => void;
}

export interface ModelTransportOptions {
  /** For messages: who the server is, without its address. */
  readonly label: string;
  readonly clock: Clock;
  /** Any of them ends the call. */
  readonly signals: readonly AbortSignal[];
  readonly limits: CallLimits;
  /** All that are sent, beside those of the body: the key is among them. */
  readonly headers: Readonly<Record<string, string>>;
  /** `events`: a stream, checked line by line; `document`: one short document. */
  readonly answer: 'events' | 'document';
  /** Of the whole answer. */
  readonly maxBytes: number;
}

interface CallState {
  failure: ModelFailure | null;
  answered: { status: number; said: string } | null;
  sent: boolean;
  refused: boolean;
}

/** Longest text of an error that is read. */
const MAX_ERROR_BYTES = 64 * 1024;

/** For one call: the SDK's client that gets this `fetch` is thrown away with it. */
export function createModelTransport(options: ModelTransportOptions): ModelTransport {
  const { label, clock, limits, signals } = options;
  const state: CallState = { failure: null, answered: null, sent: false, refused: false };
  const deadlines = watchDeadlines(clock, limits, signals, (end) => endedCall(label, end));
  const cutBy = (): ModelFailure | null =>
    deadlines.signal.aborted ? brokenCall(label, deadlines.signal.reason, state.sent) : null;
  const failed = (error: unknown): ModelFailure => (state.failure ??= cutBy() ?? brokenCall(label, error, state.sent));
  return {
    // SDKs wrap what their `fetch` throws, and take some of it for their own time-out: so it is kept here.
    fetch: (input, init) =>
      fetchOnce(options, deadlines, state, failed, input, init).catch((error: unknown) => {
        throw failed(error);
      }),
    signal: deadlines.signal,
    failure: () => state.failure ?? cutBy(),
    answered: () => state.answered,
    worked: () => state.sent && !state.refused,
    within: deadlines.within,
    close: deadlines.stop,
  };
}

async function fetchOnce(
  options: ModelTransportOptions,
  deadlines: CallDeadlines,
  state: CallState,
  failed: (error: unknown) => ModelFailure,
  input: string | URL | Request,
  init: RequestInit = {},
): Promise<Response> {
  const { label } = options;
  const response = await exchange(new URL(input instanceof Request ? input.url : input), init, options, {
    signal: deadlines.signal,
    connecting: () => deadlines.expect('connect'),
    connected: () => ((state.sent = true), deadlines.expect('firstByte')),
  });
  const status = response.statusCode ?? 0;
  state.answered = { status, said: '' };
  const chunks = timed(response, deadlines);
  if (status < 200 || status > 299) {
    state.refused = true;
    state.answered.said = (await wholeText(chunks, MAX_ERROR_BYTES)) ?? '';
    const retryAfterMs = retryAfterOf(response.headers, options.clock.now());
    throw failureOfError(label, { status, said: state.answered.said, retryAfterMs });
  }
  const type = response.headers['content-type'] ?? '';
  if (options.answer === 'document' || /json|html/.test(type)) {
    const text = await wholeText(chunks, options.maxBytes);
    if (text === null) throw invalidAnswer(label, 'sent an answer that is longer than we read');
    if (options.answer === 'document') return new Response(text, { headers: { 'content-type': type } });
    if (isErrorBody(text)) throw failureOfError(label, { said: text });
    throw invalidAnswer(label, 'answered something else than a stream of events');
  }
  const checked = watched(checkedEvents(label, chunks, options.maxBytes), failed);
  return new Response(ReadableStream.from(checked), { headers: { 'content-type': 'text/event-stream' } });
}

interface Exchange {
  readonly signal: AbortSignal;
  readonly connecting: () => void;
  readonly connected: () => void;
}

function exchange(
  url: URL,
  init: RequestInit,
  { answer, headers }: ModelTransportOptions,
  hooks: Exchange,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    if (hooks.signal.aborted) return reject(hooks.signal.reason as Error);
    const body = typeof init.body === 'string' ? Buffer.from(init.body) : null;
    const secure = url.protocol === 'https:';
    const outgoing = (secure ? httpsRequest : httpRequest)(url, {
      method: init.method ?? 'GET',
      headers: {
        accept: answer === 'events' ? 'text/event-stream' : 'application/json',
        'user-agent': 'colloquy',
        ...headers,
        ...(body ? { 'content-type': 'application/json', 'content-length': body.length } : {}),
      },
      agent: false,
    });
    let incoming: IncomingMessage | undefined;
    const cut = (reason: Error): void => {
      incoming?.destroy(reason);
      outgoing.destroy(reason);
    };
    hooks.signal.addEventListener('abort', () => cut(hooks.signal.reason as Error), { once: true });
    // The SDK's own signal, behind leaving its loop.
    init.signal?.addEventListener('abort', () => cut(new Error('the SDK ended the call')), { once: true });
    hooks.connecting();
    outgoing.once('socket', (socket) => {
      socket.once(secure ? 'secureConnect' : 'connect', hooks.connected);
    });
    outgoing.once('response', (response) => {
      incoming = response;
      // Without a listener an abort between two reads would end the process.
      response.on('error', () => undefined);
      resolve(response);
    });
    outgoing.on('error', reject);
    outgoing.end(body ?? undefined);
  });
}

/**
 * The chunk deadline runs only while we wait for the server, not while the reader is slow. Some servers send their headers
 * at once and read the prompt then: until the first chunk it is still the first byte that is waited for.
 */
async function* timed(response: IncomingMessage, deadlines: CallDeadlines): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      deadlines.idle();
      yield chunk;
      deadlines.expect('chunk');
    }
  } finally {
    deadlines.idle();
    response.destroy();
  }
}

async function* watched(
  lines: AsyncIterable<Uint8Array>,
  failed: (error: unknown) => ModelFailure,
): AsyncGenerator<Uint8Array> {
  try {
    yield* lines;
  } catch (error) {
    throw failed(error);
  }
}

function isErrorBody(text: string): boolean {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null && 'error' in body && body.error !== null;
  } catch {
    return false;
  }
}
