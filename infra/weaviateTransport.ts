/**
 * Requests to Weaviate with what its client lacks (W19): a deadline and a signal that really end them, a bound for how
 * many run at once and for what is read, and errors that hold no query (W18). The client's commands are given it as
 * their connection, so no version is asked for in the background and nothing is printed.
 */
import type { ObjectsBatcher } from 'weaviate-ts-client';
import { z } from 'zod';
import type { Clock } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { WeaviateFault } from './weaviateFault.ts';
import { createWeaviateGate } from './weaviateGate.ts';

export interface WeaviateLimits {
  /** For an answer that only reads, its waiting for a place included. */
  readonly readMs: number;
  /** For one that writes. */
  readonly writeMs: number;
}

export const defaultWeaviateLimits: WeaviateLimits = { readMs: 10_000, writeMs: 60_000 };

const AT_ONCE = 8;
const MOST_ANSWER_BYTES = 128 << 20;

/** What the client's commands send through. */
export type WeaviateConnection = ConstructorParameters<typeof ObjectsBatcher>[0];

export interface WeaviateCall {
  /** For messages: `a search`. */
  readonly what: string;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

export interface WeaviateTransport {
  /** Host and port, without secrets. */
  readonly place: string;
  readonly limits: WeaviateLimits;
  /**
   * The body of a success, undefined when it has none. Rejects with a `WeaviateFault` for every other status; with the
   * signal's reason; with `Refusal('unavailable')` when no answer came in time, half of one, or one that is no JSON: then
   * it is not known whether the request was carried out.
   */
  ask(method: string, path: string, call: WeaviateCall, payload?: unknown): Promise<unknown>;
  /** `ask`, as the client's commands want it; errors beside the data of a query are a `WeaviateFault`, too. */
  connection(call: WeaviateCall): WeaviateConnection;
  /** Ends what is under way. */
  close(): void;
}

const refusedSchema = z.union([
  z.object({ error: z.array(z.object({ message: z.string() })).min(1) }).transform(({ error }) => error[0]?.message),
  z.object({ message: z.string() }).transform(({ message }) => message),
]);
const graphqlSchema = z.object({
  data: z.unknown().optional(),
  errors: z.array(z.object({ message: z.string() })).nullish(),
});

/** @throws Refusal `invalid` when the URL or the key cannot be used. */
export function createWeaviateTransport(options: {
  url: string;
  apiKey?: string | undefined;
  clock: Clock;
  limits?: WeaviateLimits | undefined;
}): WeaviateTransport {
  const { clock, limits = defaultWeaviateLimits } = options;
  const base = checkedWeaviateUrl(options.url);
  const headers = headersWith(options.apiKey);
  const gate = createWeaviateGate(AT_ONCE);
  const closing = new AbortController();
  const ask: WeaviateTransport['ask'] = (method, path, call, payload) =>
    within(clock, closing.signal, call, async (signal) => {
      const leave = await gate.enter(signal);
      try {
        const body = payload === undefined || payload === null ? null : JSON.stringify(payload);
        const answer = await fetch(`${base}/v1${path}`, { method, headers, body, signal, redirect: 'manual' });
        const text = await boundedText(answer);
        if (!answer.ok) throw new WeaviateFault(call.what, answer.status, saidIn(text));
        return parsed(text, call);
      } finally {
        leave();
      }
    });
  return {
    place: new URL(base).host,
    limits,
    ask,
    connection: (call) => connectionOver(ask, call),
    close: () => closing.abort(new Refusal('unavailable', 'the connection to Weaviate was closed')),
  };
}

/**
 * The operator's base URL without trailing slashes.
 * @throws Refusal `invalid` for what is no http(s) URL, or carries a name and password.
 */
export function checkedWeaviateUrl(given: string): string {
  const url = URL.canParse(given) ? new URL(given) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === '' || url.username + url.password !== '')
    throw new Refusal('invalid', 'WEAVIATE_URL must look like https://host:8080, without a name or password');
  return `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, '')}`;
}

function headersWith(apiKey: string | undefined): Record<string, string> {
  const plain = { 'content-type': 'application/json' };
  if (apiKey === undefined || apiKey === '') return plain;
  if (!/^[\x21-\x7e]+$/.test(apiKey)) throw new Refusal('invalid', 'WEAVIATE_API_KEY holds characters that no key has');
  return { ...plain, authorization: `Bearer ${apiKey}` };
}

function connectionOver(ask: WeaviateTransport['ask'], call: WeaviateCall): WeaviateConnection {
  const connection: Pick<WeaviateConnection, 'delete' | 'post' | 'query'> = {
    post: (path, payload) => ask('POST', path, call, payload),
    delete: (path, payload) => ask('DELETE', path, call, payload),
    async query(query: unknown) {
      const answer = graphqlSchema.safeParse(await ask('POST', '/graphql', call, { query }));
      if (!answer.success) throw unreadable(call);
      const [first] = answer.data.errors ?? [];
      if (first !== undefined) throw new WeaviateFault(call.what, 200, first.message);
      return { data: answer.data.data };
    },
  };
  // The client names its connection by a class; its commands use no more of it than these methods.
  return connection as WeaviateConnection;
}

async function within<T>(
  clock: Clock,
  closing: AbortSignal,
  { what, deadlineMs, signal }: WeaviateCall,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const over = new AbortController();
  void clock.sleep(deadlineMs, over.signal).then(() => {
    if (!over.signal.aborted)
      late.abort(new Refusal('unavailable', `Weaviate did not answer within ${deadlineMs} ms: ${what}`));
  });
  const ends = [late.signal, closing, ...(signal === undefined ? [] : [signal])];
  try {
    return await work(AbortSignal.any(ends));
  } catch (error) {
    const ended = ends.find(({ aborted }) => aborted);
    if (ended !== undefined) throw ended.reason;
    if (error instanceof Refusal || error instanceof WeaviateFault) throw error;
    throw new Refusal('unavailable', `Weaviate does not answer, or broke off (${codeOf(error)}): ${what}`);
  } finally {
    over.abort('answered');
  }
}

/** Only the code of what went wrong: the text of errors here may hold anything. */
function codeOf(error: unknown, depth = 0): string {
  if (typeof error !== 'object' || error === null || depth > 3) return 'no connection';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return codeOf('cause' in error ? error.cause : null, depth + 1);
}

async function boundedText(answer: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let sizeBytes = 0;
  const chunks: AsyncIterable<Uint8Array> | null = answer.body;
  for await (const chunk of chunks ?? []) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > MOST_ANSWER_BYTES) throw new Refusal('unavailable', 'Weaviate answered more than can be read');
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function parsed(text: string, call: WeaviateCall): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw unreadable(call);
  }
}

/** For an answer that says success and holds something else than Weaviate's: the outcome is not known. */
export function unreadable({ what }: { what: string }): Refusal {
  return new Refusal('unavailable', `what WEAVIATE_URL names does not answer as Weaviate does: ${what}`);
}

/** The first message, else all of it. */
function saidIn(text: string): string {
  try {
    return refusedSchema.safeParse(JSON.parse(text)).data ?? text;
  } catch {
    return text;
  }
}
