/** A running installation, seen from outside: plain HTTP and server-sent events. */
import { get as getOverHttp, type IncomingMessage } from 'node:http';
import { get as getOverHttps } from 'node:https';
import { text } from 'node:stream/consumers';

export interface Frame {
  readonly event: string;
  /** Undefined for what is not durable, such as deltas. */
  readonly id: string | undefined;
  readonly data: unknown;
}

export interface Remote {
  /** @throws RemoteProblem for an answer that is no success, TypeError when nobody answers. */
  call<T>(method: string, path: string, options?: CallOptions): Promise<T>;
  /** One connection's frames; ends when the server ends it. */
  stream(path: string, options: { signal: AbortSignal; lastEventId?: string }): AsyncIterable<Frame>;
  /** The bytes of a long answer, as they come. @throws RemoteProblem. */
  download(path: string, options: { signal: AbortSignal }): AsyncIterable<Uint8Array>;
}

export interface CallOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** 15 s unless said. */
  readonly timeoutMs?: number;
}

/** An answer that was no success. */
export class RemoteProblem extends Error {
  readonly status: number;
  /** Whether the identical request may succeed later, by what the answer says. */
  readonly retryable: boolean;
  /** What the service said, for a person. */
  readonly detail: string;
  /** Each thing that was wrong with the request, a line each. */
  readonly issues: readonly string[];

  constructor(method: string, path: string, status: number, body: string) {
    super(`${method} ${path} answered ${status}: ${body.slice(0, 500)}`);
    const problem = problemIn(body);
    this.name = 'RemoteProblem';
    this.status = status;
    this.retryable = problem.retryable === true;
    this.detail = problem.detail ?? `the service answered ${status}`;
    this.issues = (problem.errors ?? []).map(({ pointer, detail }) => `${pointer}: ${detail}`);
  }
}

interface ProblemBody {
  readonly detail?: string;
  readonly retryable?: boolean;
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
}

function problemIn(body: string): ProblemBody {
  try {
    return JSON.parse(body) as ProblemBody;
  } catch {
    return {};
  }
}

const CALL_MS = 15_000;

/** @param url of an API, without /api/v1. */
export function createRemote(url: string, token: string): Remote {
  const base = `${url.replace(/\/+$/, '')}/api/v1`;
  const authorization = `Bearer ${token}`;
  return {
    async call<T>(
      method: string,
      path: string,
      { body, headers = {}, timeoutMs = CALL_MS }: CallOptions = {},
    ): Promise<T> {
      const answer = await fetch(base + path, {
        method,
        headers: { authorization, 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs),
      });
      const said = await answer.text();
      if (!answer.ok) throw new RemoteProblem(method, path, answer.status, said);
      return JSON.parse(said) as T;
    },
    async *stream(path, { signal, lastEventId }) {
      const answer = await fetch(base + path, {
        headers: { authorization, ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }) },
        signal,
      });
      if (!answer.ok || answer.body === null) throw new RemoteProblem('GET', path, answer.status, await answer.text());
      yield* framesOf(answer.body);
    },
    async *download(path, { signal }) {
      const answer = await openDownload(base + path, { authorization }, signal);
      if (answer.statusCode !== 200) throw new RemoteProblem('GET', path, answer.statusCode ?? 0, await text(answer));
      yield* answer as AsyncIterable<Uint8Array>;
    },
  };
}

/** Not by fetch: of an answer in many small chunks its queue took longer and longer, half a megabyte a second in the end. */
function openDownload(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<IncomingMessage> {
  const get = url.startsWith('https:') ? getOverHttps : getOverHttp;
  return new Promise((resolve, reject) => {
    get(url, { headers, signal }, resolve).once('error', reject);
  });
}

async function* framesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Frame> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    const blocks = rest.split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const frame = frameOf(block);
      if (frame !== null) yield frame;
    }
  }
}

/** Our own server ends lines by `\n` alone. Null for comments and pings. */
function frameOf(block: string): Frame | null {
  const fields = new Map<string, string>();
  for (const line of block.split('\n')) {
    const colon = line.indexOf(': ');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 2));
  }
  const data = fields.get('data');
  if (data === undefined) return null;
  return { event: fields.get('event') ?? 'message', id: fields.get('id'), data: JSON.parse(data) as unknown };
}
