/**
 * What goes wrong between us and a provider reached over HTTP, as `ModelFailure`s. What a server said stays here: it may
 * hold its paths, the account's name and the beginning of the key. For the same reason no failure has a `cause`.
 */
import { ModelFailure, type Usage } from '../domain/model.ts';
import type { CallEnd } from './modelDeadlines.ts';

const ENDS: Readonly<Record<Exclude<CallEnd, 'cancelled' | 'ended'>, string>> = {
  connect: 'did not accept the connection in time',
  firstByte: 'sent no first byte in time: allow it more time, or shorten the prompt',
  chunk: 'stopped sending in the middle of its answer',
  total: 'took longer than the total deadline for its answer',
};

/** @param label who the server is, without its address: `OpenAI`, or `the server at OPENAI_BASE_URL`. */
export function endedCall(label: string, end: CallEnd): ModelFailure {
  if (end === 'cancelled' || end === 'ended')
    return new ModelFailure('cancelled', 'the call was cancelled', { retryable: false });
  return new ModelFailure('time_out', `${label} ${ENDS[end]}`);
}

/** An answer that is none: not of the protocol, cut short, empty, too long. */
export function invalidAnswer(label: string, what: string): ModelFailure {
  return new ModelFailure('invalid_output', `${label} ${what}`);
}

/** A request that must not be sent. */
export function invalidRequest(detail: string): ModelFailure {
  return new ModelFailure('error', detail, { retryable: false });
}

/** From an error of a socket, of TLS or of the HTTP parser: its code says enough, its message holds the address. */
export function brokenCall(label: string, error: unknown, connected: boolean): ModelFailure {
  if (error instanceof ModelFailure) return error;
  const code = errorCode(error);
  const shown = code === '' ? '' : ` (${code})`;
  if (code.startsWith('HPE_'))
    return new ModelFailure('error', `${label} does not speak HTTP${shown}`, { retryable: false });
  if (!connected)
    return new ModelFailure('error', `${label} cannot be reached${shown}: check its base URL and the network`);
  return new ModelFailure('error', `the connection to ${label} broke${shown}`);
}

function errorCode(error: unknown, depth = 0): string {
  if (typeof error !== 'object' || error === null || depth > 4) return '';
  if ('code' in error && typeof error.code === 'string') return /^[A-Z0-9_]{1,50}$/.test(error.code) ? error.code : '';
  return 'cause' in error ? errorCode(error.cause, depth + 1) : '';
}

/** What a server said instead of an answer. */
export interface ServerError {
  /** Undefined inside an answer that began with 200. */
  readonly status?: number | undefined;
  /** The whole text, or JSON, of the error. */
  readonly said: string;
  readonly retryAfterMs?: number | undefined;
}

const TOO_LONG =
  /context[_ ](length|window|size|limit)|maximum context|prompt is too long|input (length|is too long)|too many (input|prompt) tokens|reduce the length|request_too_large/i;
const REFUSED = /content[_ ]filter|content[_ ](management )?policy|ResponsibleAI/i;
const NO_CREDIT = /insufficient_quota|credit balance|billing_(error|hard_limit)/i;
const NO_MODEL = /model_not_found|model\b.{0,200}(not found|not exist|unknown|no access)|(unknown|no such) model/is;
/** OpenAI names it in a field of its own, Anthropic at the beginning of its text. */
const PARAMETER =
  /"(?:param"\s*:\s*"|message"\s*:\s*"`?)(temperature|top_p|top_k|seed|stop|stop_sequences|response_format|max_tokens|max_completion_tokens)\b/;

/** What the types of errors stand for where no status came with them: inside an answer that has begun. */
const STATUS_OF_TYPE: readonly (readonly [RegExp, number])[] = [
  [/invalid_request_error|"BadRequestError"/, 400],
  [/authentication_error|invalid_api_key/, 401],
  [/permission_error/, 403],
  [/not_found_error/, 404],
  [/rate_limit/, 429],
];

/** Known texts first: servers that speak the same protocol differ in their statuses and types. */
export function failureOfError(label: string, { status, said, retryAfterMs }: ServerError): ModelFailure {
  const known = status ?? STATUS_OF_TYPE.find(([pattern]) => pattern.test(said))?.[1] ?? 500;
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
  const error = (message: string, retryable: boolean): ModelFailure =>
    new ModelFailure('error', `${label} ${message}`, { retryable, ...wait });
  if (known !== 429 && TOO_LONG.test(said))
    return new ModelFailure('error', 'the prompt is longer than the context of the model', { promptTooLong: true });
  if (REFUSED.test(said))
    return new ModelFailure('refused', `${label} refused the prompt for what it says`, { retryable: false });
  if (NO_CREDIT.test(said) || known === 402) return error('says that the account has no credit left', false);
  if (known === 401 || known === 403) return error(`refused the key (${known}): check it and what it may do`, false);
  if (saysNoModel(known, said)) return error('does not have the model', false);
  if (known === 404) return error('does not know what was asked (404): check its base URL', false);
  if (known === 413) return error('finds the request too large (413)', false);
  if (known === 429) return error('limits how much may be asked (429)', true);
  const parameter = PARAMETER.exec(said)?.[1];
  if (known < 500 && parameter !== undefined) return error(`refused the parameter ${parameter} (${known})`, false);
  if (known >= 300 && known < 400)
    return error(`redirects (${known}), which is never followed: configure its final base URL`, false);
  if (status === undefined) return error('reported an error in the middle of its answer', known >= 500);
  return error(`answered with status ${known}`, known >= 500 || known === 408 || known === 409);
}

/** Whether a 404 or 400 means the model; a 404 of another text means that the server has no such route. */
export function saysNoModel(status: number, said: string): boolean {
  return (status === 404 || status === 400) && NO_MODEL.test(said);
}

/** The same failure with what the attempt has used. */
export function withUsage(failure: ModelFailure, usage: Usage | undefined): ModelFailure {
  if (usage === undefined || failure.usage !== undefined) return failure;
  const { reason, message, retryable, retryAfterMs, promptTooLong } = failure;
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
  return new ModelFailure(reason, message, { retryable, promptTooLong, usage, ...wait });
}

const MAX_RETRY_AFTER_MS = 3_600_000;

/** RFC 9110 §10.2.3, seconds or a date, and the `retry-after-ms` of OpenAI, which is more exact. */
export function retryAfterOf(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  nowMs: number,
): number | undefined {
  const exact = Number(headers['retry-after-ms'] ?? Number.NaN);
  if (exact >= 0) return Math.min(MAX_RETRY_AFTER_MS, exact);
  const value = String(headers['retry-after'] ?? '').trim();
  const seconds = /^\d{1,9}(\.\d+)?$/.test(value);
  // `Date.parse` takes `-5` for a month.
  if (!seconds && !/^[A-Z][a-z]{2}/.test(value)) return undefined;
  const ms = seconds ? Number(value) * 1000 : Date.parse(value) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.min(MAX_RETRY_AFTER_MS, Math.max(0, ms));
}
