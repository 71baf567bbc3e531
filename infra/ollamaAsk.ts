import { Ollama } from 'ollama';
import type { Clock } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import type { OllamaLimits } from './ollamaDeadlines.ts';
import { cancelledBy, faultOf } from './ollamaFault.ts';
import { createOllamaTransport } from './ollamaTransport.ts';

export interface OllamaServer {
  /** As `checkedBaseUrl` gives it. */
  readonly baseUrl: string;
  readonly clock: Clock;
  /** Context in tokens where nobody says. */
  readonly numCtx: number;
}

/** Ollama's own default. */
export const DEFAULT_NUM_CTX = 4096;

/** For what the server answers from memory or disk: the lists, `show`, `delete`. */
export const QUICK: OllamaLimits = { connectMs: 5_000, firstByteMs: 10_000, chunkMs: 10_000, totalMs: 30_000 };

/** `show` with its tokens has 25 bytes a token and more: 1.2 MB for 49 thousand, seen. */
const MAX_DOCUMENT_BYTES = 64 * 1024 * 1024;

/**
 * One call that is answered by one document. Rejects with an `OllamaFault`, after `limits` at the latest; the
 * connection is closed in any case.
 */
export async function askOllama<T>(
  server: OllamaServer,
  signal: AbortSignal,
  call: (client: Ollama) => Promise<T>,
  limits: OllamaLimits = QUICK,
): Promise<T> {
  const transport = createOllamaTransport({
    clock: server.clock,
    signals: [signal],
    limits,
    answer: 'document',
    maxBytes: MAX_DOCUMENT_BYTES,
  });
  try {
    return await call(new Ollama({ host: server.baseUrl, fetch: transport.fetch }));
  } catch (error) {
    throw transport.fault() ?? faultOf(error);
  } finally {
    transport.close();
  }
}

/**
 * The operator's base URL without trailing slashes (two of them are answered by a redirect). Refuses what is no http(s)
 * URL and what carries a name and password: Ollama has no authentication, and `fetch` throws on them (O19, O20).
 */
export function checkedBaseUrl(baseUrl: string): string {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === '')
    throw new Refusal('invalid', 'the base URL of Ollama must look like http://127.0.0.1:11434');
  if (url.username !== '' || url.password !== '')
    throw new Refusal(
      'invalid',
      'the base URL of Ollama must not carry a name or password: Ollama has no authentication',
    );
  return `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, '')}`;
}

/** Settles with `work`, or rejects as cancelled as soon as the signal aborts; `work` itself goes on. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const ended = new AbortController();
  try {
    return await Promise.race([
      work,
      new Promise<never>((_resolve, reject) => {
        const stop = (): void => reject(cancelledBy(signal));
        if (signal.aborted) stop();
        signal.addEventListener('abort', stop, { signal: ended.signal });
      }),
    ]);
  } finally {
    ended.abort();
  }
}
