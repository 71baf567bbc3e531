import { estimateTokens } from '../domain/content.ts';
import { type GenerateRequest, parametersSchema, type Usage } from '../domain/model.ts';
import { Refusal } from '../domain/refusal.ts';
import { invalidRequest } from './modelFailures.ts';

/** What one attempt has come to: for its usage, also when it fails. */
export interface ModelAttempt {
  /** Estimated. */
  readonly promptTokens: number;
  characters: number;
  /** Pieces of text, a token each or more. */
  pieces: number;
  /** What the provider counted, once it has said so. */
  reported: Usage | null;
}

/** Most tokens that are written when nobody says. */
export const DEFAULT_OUTPUT_TOKENS = 1024;

const MAX_MESSAGES = 10_000;
/** 4 characters a token, a million tokens. */
const MAX_PROMPT_CHARACTERS = 4_000_000;
/** Also those of gateways (`organisation/model:variant`) and of fine-tuned models. */
const MODEL_NAME = /^[A-Za-z0-9][\w.:@/+-]{0,199}$/;

/** An attempt of which nothing is known but its prompt. */
export function newAttempt(request: GenerateRequest): ModelAttempt {
  const promptTokens = request.messages.reduce((sum, message) => sum + estimateTokens(message.content), 0);
  return { promptTokens, characters: 0, pieces: 0, reported: null };
}

/** A piece of text as it may be handed on: JSON can carry what neither our log nor RFC 8785 can. '' for nothing. */
export function tokenText(attempt: ModelAttempt, given: string): string {
  const text = given.replaceAll('\u0000', '\uFFFD').toWellFormed();
  attempt.characters += text.length;
  if (text !== '') attempt.pieces += 1;
  return text;
}

/** As reported, else four characters a token. */
export function usageOf({ promptTokens, characters, pieces, reported }: ModelAttempt): Usage {
  const outputTokens = Math.max(pieces, Math.ceil(characters / 4));
  return reported ?? { inputTokens: promptTokens, outputTokens, source: 'estimated' };
}

/** What a provider says of tokens; null when it is no number of them. */
export function reportedUsage(inputTokens: unknown, outputTokens: unknown): Usage | null {
  const counts = (value: unknown): value is number =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
  return counts(inputTokens) && counts(outputTokens) ? { inputTokens, outputTokens, source: 'reported' } : null;
}

/** @throws ModelFailure that cannot be retried, for a request that no provider can be sent. */
export function checkRequest(request: GenerateRequest): void {
  checkModelName(request.model);
  const issue = parametersSchema.safeParse(request.parameters).error?.issues[0];
  if (issue) throw invalidRequest(`the parameters do not fit: /${issue.path.join('/')} ${issue.message}`);
  if (!request.messages.some(({ role, content }) => role !== 'system' && content.trim() !== ''))
    throw invalidRequest('a prompt without a message cannot be sent');
  const characters = request.messages.reduce((sum, message) => sum + message.content.length, 0);
  if (request.messages.length > MAX_MESSAGES || characters > MAX_PROMPT_CHARACTERS)
    throw invalidRequest(`a prompt has at most ${MAX_PROMPT_CHARACTERS} characters in ${MAX_MESSAGES} messages`);
}

/** @throws ModelFailure that cannot be retried; the name becomes part of a path. */
export function checkModelName(name: string): void {
  if (!MODEL_NAME.test(name)) throw invalidRequest('the name of the model is malformed');
}

/**
 * The operator's base URL without trailing slashes.
 * @throws Refusal `invalid` for what is no http(s) URL, or carries a name and password.
 */
export function checkedBaseUrl(setting: string, baseUrl: string): string {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === '')
    throw new Refusal('invalid', `${setting} must look like https://host/path`);
  if (url.username !== '' || url.password !== '')
    throw new Refusal('invalid', `${setting} must not carry a name or password: the key has a setting of its own`);
  return `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, '')}`;
}

/** @throws Refusal `invalid` for a key that no header can carry, such as one with a line break at its end. */
export function checkedKey(setting: string, key: string): string {
  if (!/^[\x21-\x7e]+$/.test(key)) throw new Refusal('invalid', `${setting} holds characters that no key has`);
  return key;
}
