/** Anthropic's Messages as a `LanguageModel`. */
import type * as anthropicSdk from '@anthropic-ai/sdk';
import { messageEvents } from './anthropicAnswer.ts';
import { checkForAnthropic, messageRequest } from './anthropicRequest.ts';
import { checkedBaseUrl, checkedKey } from './modelAttempts.ts';
import { failureOfError } from './modelFailures.ts';
import { createModelOverHttp, type HttpModel, type HttpModelOptions } from './modelOverHttp.ts';

/** Beyond any deadline of ours, and as long as a timer can be. */
const NEVER_MS = 2_147_483_647;
/** Of the protocol, as the SDK speaks it; sent with every request. */
const VERSION = '2026-10-21';

/** @throws Refusal `invalid` for a base URL or key that cannot be used. */
export function createAnthropicModel(options: HttpModelOptions): HttpModel {
  const baseUrl = checkedBaseUrl('ANTHROPIC_BASE_URL', options.baseUrl);
  const official = /(^|\.)anthropic\.com$/.test(new URL(baseUrl).hostname);
  const label = official ? 'Anthropic' : 'the server at ANTHROPIC_BASE_URL';
  const key = options.apiKey === undefined ? null : checkedKey('ANTHROPIC_API_KEY', options.apiKey);
  // What the SDK would take from the environment or a profile is given, so that only the settings decide; it never sees
  // the key. Its own spans could be made to carry prompts by a variable of the environment.
  const clientFor = (sdk: typeof anthropicSdk, fetch: typeof globalThis.fetch) =>
    new sdk.Anthropic({
      apiKey: 'sent by the transport',
      webhookKey: null,
      baseURL: baseUrl,
      maxRetries: 0,
      timeout: NEVER_MS,
      logLevel: 'off',
      openTelemetry: false,
      fetch,
    });
  return createModelOverHttp<typeof anthropicSdk>(
    {
      provider: 'anthropic',
      label,
      headers: { 'anthropic-version': VERSION, ...(key === null ? {} : { 'x-api-key': key }) },
      load: () => import('@anthropic-ai/sdk'),
      check: (request) => checkForAnthropic(request, official),
      async *answer(sdk, request, { fetch, attempt, found }) {
        const events = await clientFor(sdk, fetch).messages.create(messageRequest(request, official, found));
        yield* messageEvents(label, events, attempt);
      },
      retrieve: (sdk, name, { fetch }) => clientFor(sdk, fetch).models.retrieve(name),
      failureOf: (sdk, error) =>
        error instanceof sdk.APIError ? failureOfError(label, { said: JSON.stringify(error.error ?? null) }) : null,
    },
    options,
  );
}
