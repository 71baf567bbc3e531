/** What providers reached over HTTP have in common: one call, one request, its deadlines, its end and its usage. */
import { type GenerateRequest, type ModelDescription, type ModelEvent, ModelFailure } from '../domain/model.ts';
import type { Clock, LanguageModel } from '../domain/ports.ts';
import { checkModelName, checkRequest, type ModelAttempt, newAttempt, usageOf } from './modelAttempts.ts';
import { brokenCall, endedCall, invalidAnswer, saysNoModel, withUsage } from './modelFailures.ts';
import { createModelTransport, type ModelTransport } from './modelTransport.ts';

export interface HttpModelOptions {
  /** The operator's, never a request's. */
  readonly baseUrl: string;
  /** None for a server that asks for none. */
  readonly apiKey?: string;
  readonly clock: Clock;
  /** Context of every model there in tokens: the protocols do not tell. */
  readonly contextTokens: number;
  readonly connectMs?: number;
  /** Of one whole answer (16 MiB). */
  readonly maxAnswerBytes?: number;
}

export interface HttpModel extends LanguageModel {
  /** Ends everything under way. */
  close(): void;
}

/** What a protocol's answer is read with. */
export interface HttpCall {
  readonly attempt: ModelAttempt;
  readonly fetch: typeof fetch;
  /** The answer is whole; what may still come is waited for no longer than this. */
  readonly within: (ms: number) => void;
  /** What the provider said of the model when it was last described; null when it has not said anything. */
  readonly found: unknown;
}

/** One provider's protocol; `Sdk` is its module, loaded at the first call. */
export interface HttpProtocol<Sdk> {
  readonly provider: string;
  /** For messages: who the server is, without its address. */
  readonly label: string;
  readonly headers: Readonly<Record<string, string>>;
  load(): Promise<Sdk>;
  /** Throws `ModelFailure` for a request that the provider would refuse. */
  check(request: GenerateRequest): void;
  /** Sends the request and reads its answer: texts, then `done`; ends without one where the stream does. */
  answer(sdk: Sdk, request: GenerateRequest, call: HttpCall): AsyncIterable<ModelEvent>;
  /** Asks whether there is a model of that name. */
  retrieve(sdk: Sdk, name: string, call: Pick<HttpCall, 'fetch'>): Promise<unknown>;
  /** The failure behind an error of the SDK's own; null for any other. */
  failureOf(sdk: Sdk, error: unknown): ModelFailure | null;
}

const DEFAULTS = { connectMs: 5_000, maxAnswerBytes: 16 * 1024 * 1024 };
const LOOKUP = { firstByteMs: 6_000, chunkMs: 6_000, totalMs: 8_000 };
const MAX_LOOKUP_BYTES = 1024 * 1024;
/** How long a model is believed to be there. */
const BELIEVED_MS = 600_000;
const MAX_BELIEVED = 200;

/** Broken up wherever a participant writes them: what the usual templates read as control. */
const USUAL_CONTROL_TOKENS = ['<|im_start|>', '<|im_end|>', '<|endoftext|>', '[INST]', '[/INST]', '<s>', '</s>'];

interface Parts<Sdk> {
  readonly protocol: HttpProtocol<Sdk>;
  readonly options: HttpModelOptions & typeof DEFAULTS;
  /** Aborts when the model is closed. */
  readonly closing: AbortSignal;
  /** Names of models → what was found, and until when it is believed, on the monotonic clock. */
  readonly believed: Map<string, { readonly untilMs: number; readonly found: unknown }>;
}

/** A `LanguageModel` of that protocol. Nothing is loaded or asked before its first call. */
export function createModelOverHttp<Sdk>(protocol: HttpProtocol<Sdk>, options: HttpModelOptions): HttpModel {
  const closed = new AbortController();
  const parts: Parts<Sdk> = {
    protocol,
    options: { ...DEFAULTS, ...options },
    closing: closed.signal,
    believed: new Map(),
  };
  return {
    provider: protocol.provider,
    describe: (name, { signal }) => describe(parts, name, signal),
    generate: (request, { signal }) => generate(parts, request, signal),
    close: () => closed.abort(),
  };
}

async function* generate<Sdk>(
  parts: Parts<Sdk>,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<ModelEvent> {
  const { protocol, options, closing } = parts;
  const { label } = protocol;
  if (signal.aborted) throw endedCall(label, 'cancelled');
  checkRequest(request);
  protocol.check(request);
  const sdk = await protocol.load();
  const attempt = newAttempt(request);
  const limits = { connectMs: options.connectMs, ...request.deadlines };
  const transport = open(parts, [signal, closing], limits, 'events');
  const { fetch, within } = transport;
  const found = parts.believed.get(request.model)?.found ?? null;
  try {
    for await (const event of protocol.answer(sdk, request, { attempt, fetch, within, found })) {
      // SDKs end their loop without an error when they are cut off, and hand out what had arrived before: a cancelled
      // call has no answer. A whole answer stays one when only its usage did not come in time.
      const cut = event.type === 'done' ? signal.aborted || closing.aborted : transport.signal.aborted;
      if (cut) throw endedCall(label, 'cancelled');
      yield event;
      if (event.type === 'done') return;
    }
    throw invalidAnswer(label, 'ended the answer without saying that it is complete');
  } catch (error) {
    const failure = failureIn(parts, sdk, transport, error);
    if (transport.answered()?.status === 404) parts.believed.delete(request.model);
    throw withUsage(failure, attempt.reported !== null || transport.worked() ? usageOf(attempt) : undefined);
  } finally {
    transport.close();
  }
}

function open<Sdk>(
  { protocol, options }: Parts<Sdk>,
  signals: readonly AbortSignal[],
  limits: { connectMs: number; firstByteMs: number; chunkMs: number; totalMs: number },
  answer: 'events' | 'document',
): ModelTransport {
  const { label, headers } = protocol;
  const maxBytes = answer === 'events' ? options.maxAnswerBytes : MAX_LOOKUP_BYTES;
  return createModelTransport({ label, headers, clock: options.clock, signals, limits, answer, maxBytes });
}

/** What the transport saw comes first: an SDK makes a connection error of it. */
function failureIn<Sdk>({ protocol }: Parts<Sdk>, sdk: Sdk, transport: ModelTransport, error: unknown): ModelFailure {
  const seen = transport.failure();
  if (seen !== null) return seen;
  if (error instanceof ModelFailure) return error;
  if (error instanceof SyntaxError) return invalidAnswer(protocol.label, 'sent an event that is not JSON');
  return protocol.failureOf(sdk, error) ?? brokenCall(protocol.label, error, transport.worked());
}

/**
 * Asks whether the model is there, once in ten minutes. Servers without that route, and keys that may not use it, count as
 * "it may be": the first turn will tell.
 */
async function describe<Sdk>(parts: Parts<Sdk>, name: string, signal: AbortSignal): Promise<ModelDescription> {
  const { protocol, options, believed, closing } = parts;
  checkModelName(name);
  const { contextTokens, clock } = options;
  const description = {
    provider: protocol.provider,
    name,
    digest: null,
    contextTokens,
    defaultContextTokens: contextTokens,
    controlTokens: USUAL_CONTROL_TOKENS,
  };
  if ((believed.get(name)?.untilMs ?? -Infinity) > clock.monotonic()) return description;
  if (signal.aborted) throw endedCall(protocol.label, 'cancelled');
  const sdk = await protocol.load();
  const transport = open(parts, [signal, closing], { connectMs: options.connectMs, ...LOOKUP }, 'document');
  let found: unknown = null;
  try {
    found = await protocol.retrieve(sdk, name, transport);
  } catch (error) {
    const answered = transport.answered();
    const tells = answered === null || answered.status === 401 || saysNoModel(answered.status, answered.said);
    if (tells || transport.signal.aborted) throw failureIn(parts, sdk, transport, error);
    if (answered.status === 429 || answered.status >= 500) return description;
  } finally {
    transport.close();
  }
  believed.delete(name);
  believed.set(name, { untilMs: clock.monotonic() + BELIEVED_MS, found });
  const oldest = believed.keys().next().value;
  if (believed.size > MAX_BELIEVED && oldest !== undefined) believed.delete(oldest);
  return description;
}
