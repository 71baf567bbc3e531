/** What can go wrong between us and an Ollama server, and how the core hears of it. */
import type { Usage } from '../domain/model.ts';
import { ModelFailure } from '../domain/model.ts';
import { Refusal } from '../domain/refusal.ts';

export type OllamaFaultKind =
  | 'cancelled'
  | 'deadline'
  | 'unreachable'
  | 'broken'
  | 'not-ollama'
  | 'status'
  | 'error-line'
  | 'malformed'
  | 'too-large'
  | 'no-done'
  | 'empty'
  | 'busy'
  | 'invalid'
  | 'missing';

export interface OllamaFaultDetails {
  readonly status?: number;
  /** What the server said: holds its paths and registry names (O20), so it never leaves this file. */
  readonly said?: string;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** `message` is ours and safe to show; what the server said stays in `said`. */
export class OllamaFault extends Error {
  readonly kind: OllamaFaultKind;
  readonly status: number | undefined;
  readonly said: string;
  readonly retryAfterMs: number | undefined;

  constructor(kind: OllamaFaultKind, message: string, details: OllamaFaultDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'OllamaFault';
    this.kind = kind;
    this.status = details.status;
    this.said = details.said ?? '';
    this.retryAfterMs = details.retryAfterMs;
  }
}

const UNREACHABLE =
  'Ollama does not answer at its configured address: start it with `ollama serve`, or correct its base URL (Ollama listens on port 11434; a URL without a port means 80)';

const UNREACHABLE_CODES = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
]);

/** Why an aborted signal ended a call: our own deadline when it says so, else the caller, whatever its reason. */
export function cancelledBy(signal: AbortSignal): OllamaFault {
  return signal.reason instanceof OllamaFault ? signal.reason : new OllamaFault('cancelled', 'the call was cancelled');
}

/** From an error of a socket or of the HTTP parser. `code` may stand on the error or on its cause (O14). */
export function faultOf(error: unknown): OllamaFault {
  if (error instanceof OllamaFault) return error;
  const code = errorCode(error);
  if (UNREACHABLE_CODES.has(code)) return new OllamaFault('unreachable', UNREACHABLE, { cause: error });
  if (code.startsWith('HPE_'))
    return new OllamaFault('not-ollama', 'what answers at the configured address does not speak HTTP', {
      cause: error,
    });
  // O6: the client's own words for a 200 stream that ended cleanly, but without the frame that says it is whole.
  if (error instanceof Error && error.message.startsWith('Did not receive done'))
    return new OllamaFault('no-done', 'Ollama ended the answer without saying that it is complete', { cause: error });
  if (code === '' && error instanceof SyntaxError)
    return new OllamaFault('malformed', 'Ollama answered something that is not JSON', { cause: error });
  return new OllamaFault('broken', 'the connection to Ollama broke', { cause: error });
}

function errorCode(error: unknown, depth = 0): string {
  if (typeof error !== 'object' || error === null || depth > 4) return '';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return 'cause' in error ? errorCode(error.cause, depth + 1) : '';
}

interface Reading {
  readonly message: string;
  readonly retryable: boolean;
  readonly promptTooLong?: boolean;
  readonly kind?: 'missing' | 'invalid';
}

/** Known texts first: the status alone misleads, since wrong options are 500 (O9) and pulls fail with 200 (O21). */
const KNOWN: readonly (readonly [RegExp, Reading])[] = [
  [
    /input length exceeds the context length/i,
    { message: 'the prompt is longer than the context of the model', retryable: true, promptTooLong: true },
  ],
  [
    /runner has unexpectedly stopped|error was encountered while running the model/i,
    { message: 'the process that runs the model stopped', retryable: true },
  ],
  [/server busy/i, { message: 'Ollama is busy: its queue is full', retryable: true }],
  [
    /requires more system memory|out of memory/i,
    {
      message: 'Ollama has not enough memory for the model: use a smaller one, or a smaller num_ctx',
      retryable: false,
    },
  ],
  [
    /^option "|invalid options|invalid format|JSON schema/i,
    { message: 'Ollama refused an option or the format', retryable: false, kind: 'invalid' },
  ],
  [
    /model is required|invalid model name|unqualified name|name ".*" is invalid/i,
    { message: 'Ollama refused the name of the model', retryable: false, kind: 'invalid' },
  ],
  [/does not support (chat|generate)/i, { message: 'the model cannot chat', retryable: false, kind: 'invalid' }],
  [/does not support/i, { message: 'the model does not support what was asked', retryable: false, kind: 'invalid' }],
  [/file does not exist/i, { message: 'the registry has no such model', retryable: false, kind: 'missing' }],
  [
    /no such host|dial tcp|i\/o timeout|connection refused|TLS handshake/i,
    { message: 'Ollama could not reach its model registry', retryable: true },
  ],
  [/not found/i, { message: 'Ollama does not have the model: pull it first', retryable: false, kind: 'missing' }],
  [/no space left/i, { message: 'the disk of the Ollama server is full', retryable: false }],
];

function reading(fault: OllamaFault): Reading {
  if (fault.kind === 'status' || fault.kind === 'error-line') {
    const known = KNOWN.find(([pattern]) => pattern.test(fault.said));
    if (known) return known[1];
  }
  if (fault.kind === 'status') return byStatus(fault.status ?? 0);
  if (fault.kind === 'error-line') return { message: 'Ollama reported an error while it answered', retryable: true };
  return { message: fault.message, retryable: !['not-ollama', 'invalid', 'missing'].includes(fault.kind) };
}

function byStatus(status: number): Reading {
  if (status === 403)
    return {
      message: 'Ollama refused our Host header (403): a proxy in front of it must rewrite Host',
      retryable: false,
    };
  if (status >= 300 && status < 400)
    return {
      message: `Ollama's configured address redirects (${status}), which is never followed: configure the final one`,
      retryable: false,
    };
  if (status === 404)
    return { message: 'nothing at the configured address knows the Ollama API (404)', retryable: false };
  return {
    message: `Ollama answered with status ${status}`,
    retryable: status >= 500 || status === 429 || status === 408,
  };
}

/** @param usage what the attempt has used so far, when it had reached the model. */
export function modelFailureOf(error: unknown, usage?: Usage): ModelFailure {
  if (error instanceof ModelFailure) return error;
  const fault = faultOf(error);
  const { message, retryable, promptTooLong } = reading(fault);
  return new ModelFailure(reasonOf(fault), message, {
    retryable: fault.kind === 'cancelled' ? false : retryable,
    promptTooLong: promptTooLong ?? false,
    cause: fault,
    ...(fault.retryAfterMs === undefined ? {} : { retryAfterMs: fault.retryAfterMs }),
    ...(usage === undefined ? {} : { usage }),
  });
}

function reasonOf(fault: OllamaFault): ModelFailure['reason'] {
  if (fault.kind === 'cancelled') return 'cancelled';
  if (fault.kind === 'deadline') return 'time_out';
  if (fault.kind === 'malformed' || fault.kind === 'too-large' || fault.kind === 'no-done' || fault.kind === 'empty')
    return 'invalid_output';
  return 'error';
}

/** For the library's callers: unknown models are `not-found`, an absent server `unavailable`. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const fault = faultOf(error);
  const { message, retryable, kind } = reading(fault);
  const code =
    kind === 'missing' || fault.kind === 'missing'
      ? 'not-found'
      : kind === 'invalid' || fault.kind === 'invalid'
        ? 'invalid'
        : 'unavailable';
  return new Refusal(code, message, {
    retryable: code === 'unavailable' && retryable,
    cause: fault,
    ...(fault.retryAfterMs === undefined ? {} : { retryAfterMs: fault.retryAfterMs }),
  });
}
