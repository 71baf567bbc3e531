/** OpenAI, and every server that speaks its Chat Completions, as a `LanguageModel`. */
import type * as openaiSdk from 'openai';
import { checkedBaseUrl, checkedKey } from './modelAttempts.ts';
import { failureOfError } from './modelFailures.ts';
import { createModelOverHttp, type HttpModel, type HttpModelOptions } from './modelOverHttp.ts';
import { chatEvents } from './openaiAnswer.ts';
import { chatRequest, checkForOpenAi } from './openaiRequest.ts';

/** Beyond any deadline of ours, and as long as a timer can be. */
const NEVER_MS = 2_147_483_647;

export type OpenAiServer = ReturnType<typeof openAiServer>;

/** The server as all calls reach it. @throws Refusal `invalid` for a base URL or key that cannot be used. */
export function openAiServer(options: Pick<HttpModelOptions, 'baseUrl' | 'apiKey'>) {
  const baseUrl = checkedBaseUrl('OPENAI_BASE_URL', options.baseUrl);
  const official = isOpenAi(baseUrl);
  const key = options.apiKey === undefined ? null : checkedKey('OPENAI_API_KEY', options.apiKey);
  const headers: Readonly<Record<string, string>> = key === null ? {} : { authorization: `Bearer ${key}` };
  return {
    official,
    label: official ? 'OpenAI' : 'the server at OPENAI_BASE_URL',
    headers,
    // What the SDK would take from the environment is given, so that only the settings decide; it never sees the key.
    clientFor: (sdk: typeof openaiSdk, fetch: typeof globalThis.fetch) =>
      new sdk.OpenAI({
        apiKey: 'sent by the transport',
        adminAPIKey: null,
        organization: null,
        project: null,
        webhookSecret: null,
        baseURL: baseUrl,
        maxRetries: 0,
        timeout: NEVER_MS,
        logLevel: 'off',
        fetch,
      }),
  };
}

/** @throws Refusal `invalid` for a base URL or key that cannot be used. */
export function createOpenAiModel(options: HttpModelOptions): HttpModel {
  const { official, label, headers, clientFor } = openAiServer(options);
  return createModelOverHttp<typeof openaiSdk>(
    {
      provider: 'openai',
      label,
      headers,
      load: () => import('openai'),
      check: (request) => checkForOpenAi(request, official),
      async *answer(sdk, request, call) {
        const chunks = await clientFor(sdk, call.fetch).chat.completions.create(chatRequest(request, official));
        yield* chatEvents(label, chunks, call);
      },
      retrieve: (sdk, name, { fetch }) => clientFor(sdk, fetch).models.retrieve(name),
      failureOf: (sdk, error) =>
        error instanceof sdk.APIError ? failureOfError(label, { said: JSON.stringify(error.error ?? null) }) : null,
    },
    options,
  );
}

/** Servers that know `max_completion_tokens`; most others know only the older `max_tokens`, and some pass over the newer. */
function isOpenAi(baseUrl: string): boolean {
  return /(^|\.)openai\.com$/.test(new URL(baseUrl).hostname);
}
