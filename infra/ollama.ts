/** Ollama as a `LanguageModel`. What it guards against stands, trap by trap, in test/infra/ollamaTraps.test.ts. */
import { Ollama } from 'ollama';
import type { GenerateRequest, ModelEvent } from '../domain/model.ts';
import type { Clock, LanguageModel } from '../domain/ports.ts';
import { answerEvents, chatRequest, newAttempt, type OllamaAttempt, usageOf } from './ollamaAnswer.ts';
import { askOllama, checkedBaseUrl, DEFAULT_NUM_CTX, type OllamaServer } from './ollamaAsk.ts';
import { createFactsCache, type OllamaFacts } from './ollamaFacts.ts';
import { cancelledBy, modelFailureOf, OllamaFault } from './ollamaFault.ts';
import { checkModelName, checkRequest } from './ollamaParameters.ts';
import { createOllamaSlots } from './ollamaSlots.ts';
import { createOllamaTransport } from './ollamaTransport.ts';
import { createWarmth } from './ollamaWarmth.ts';

export interface OllamaOptions {
  /** The operator's, never a request's: `http://127.0.0.1:11434`. */
  readonly baseUrl: string;
  readonly clock: Clock;
  /** Context in tokens for models whose parameters do not say (4096). */
  readonly numCtx?: number;
  /** How long the server keeps a model after its last call (30 minutes). */
  readonly keepAliveMs?: number;
  /** Calls at a time (1: more slots made nothing faster on a CPU and took 2.5 times the memory). */
  readonly maxConcurrent?: number;
  /** Calls that may wait for one of these; the next one fails at once (64). */
  readonly maxWaiting?: number;
  readonly connectMs?: number;
  /** Of one whole answer (16 MiB). */
  readonly maxAnswerBytes?: number;
}

export interface OllamaModel extends LanguageModel {
  /** Loads a model, within 10 minutes; the load goes on when the signal ends the wait. Rejects with `ModelFailure`. */
  warmUp(name: string, options: { signal: AbortSignal }): Promise<void>;
  /** Whether the server answers at all. No proof of health: it does while a frozen runner hangs every chat (O15). */
  reachable(): Promise<boolean>;
  /** Ends everything under way. */
  close(): void;
}

const DEFAULTS = {
  numCtx: DEFAULT_NUM_CTX,
  keepAliveMs: 1_800_000,
  maxConcurrent: 1,
  maxWaiting: 64,
  connectMs: 5_000,
  maxAnswerBytes: 16 * 1024 * 1024,
};
const REACHABLE = { connectMs: 2_000, firstByteMs: 2_000, chunkMs: 2_000, totalMs: 3_000 };

interface Parts {
  readonly settings: typeof DEFAULTS;
  readonly server: OllamaServer;
  /** Aborts when the model is closed. */
  readonly closing: AbortSignal;
  readonly facts: ReturnType<typeof createFactsCache>;
  readonly warmth: ReturnType<typeof createWarmth>;
  readonly slots: ReturnType<typeof createOllamaSlots>;
}

/**
 * The deadlines of a request count from the moment it is sent: waiting for a place and loading the model come before. @throws Refusal `invalid` for a base URL that cannot be used.
 */
export function createOllamaModel(options: OllamaOptions): OllamaModel {
  const settings = { ...DEFAULTS, ...options };
  const server = { baseUrl: checkedBaseUrl(options.baseUrl), clock: options.clock, numCtx: settings.numCtx };
  const closed = new AbortController();
  const closing = closed.signal;
  const parts: Parts = {
    settings,
    server,
    closing,
    facts: createFactsCache(server, closing),
    warmth: createWarmth(server, closing, settings.keepAliveMs),
    slots: createOllamaSlots(server.clock, closing, { slots: settings.maxConcurrent, waiting: settings.maxWaiting }),
  };
  return {
    provider: 'ollama',
    generate: (request, { signal }) => generate(parts, request, signal),
    describe: (name, { signal }) => about(parts, name, signal, async ({ description }) => description),
    warmUp: (name, { signal }) =>
      about(parts, name, signal, async (facts) => {
        contextFor(parts, name, facts);
        await parts.warmth.ready(name, signal);
      }),
    reachable: () =>
      askOllama(server, closing, (client) => client.version(), REACHABLE).then(
        () => true,
        () => false,
      ),
    close: () => closed.abort(),
  };
}

async function about<T>(
  parts: Parts,
  name: string,
  signal: AbortSignal,
  use: (facts: OllamaFacts) => Promise<T>,
): Promise<T> {
  try {
    checkModelName(name);
    return await use(await parts.facts.of(name, signal));
  } catch (error) {
    throw modelFailureOf(error);
  }
}

async function* generate(parts: Parts, request: GenerateRequest, signal: AbortSignal): AsyncGenerator<ModelEvent> {
  const attempt = newAttempt(request);
  try {
    if (signal.aborted) throw cancelledBy(signal);
    checkRequest(request);
    const facts = await parts.facts.of(request.model, signal);
    if (facts.capabilities.length > 0 && !facts.capabilities.includes('completion'))
      throw new OllamaFault('invalid', 'the model cannot chat');
    const numCtx = contextFor(parts, request.model, facts, request.parameters.num_ctx);
    await parts.warmth.ready(request.model, signal);
    yield* answer(parts, request, attempt, { facts, numCtx, signal });
  } catch (error) {
    forgetWhatChanged(parts, request.model, error);
    throw modelFailureOf(error, usageOf(attempt));
  }
}

async function* answer(
  parts: Parts,
  request: GenerateRequest,
  attempt: OllamaAttempt,
  { facts, numCtx, signal }: { facts: OllamaFacts; numCtx: number; signal: AbortSignal },
): AsyncGenerator<ModelEvent> {
  const { settings, server, warmth, slots } = parts;
  // Waiting for a place is not the server's silence: with several discussions on one server it may take many answers' time.
  const giveBack = await slots.take(AbortSignal.any([signal, parts.closing]));
  const transport = createOllamaTransport({
    clock: server.clock,
    signals: [signal, parts.closing],
    limits: { connectMs: settings.connectMs, ...request.deadlines },
    answer: 'lines',
    maxBytes: settings.maxAnswerBytes,
  });
  let frames: { abort(): void } | null = null;
  const sentAt = server.clock.monotonic();
  try {
    const client = new Ollama({ host: server.baseUrl, fetch: transport.fetch });
    const answered = await client.chat(chatRequest(request, facts, numCtx, settings.keepAliveMs));
    frames = answered;
    warmth.used(request.model, numCtx);
    for await (const event of answerEvents(answered, attempt)) {
      // Frames that had arrived before the cut are still handed out, even a done one: a cancelled call has no answer.
      if (transport.signal.aborted) throw cancelledBy(transport.signal);
      yield event;
    }
    if (attempt.reported) warmth.read(request.model, attempt.reported.inputTokens, attempt.promptMs);
  } catch (error) {
    throw transport.fault() ?? error;
  } finally {
    frames?.abort();
    attempt.worked ||= transport.worked();
    const unanswered = transport.worked() && !transport.answered();
    const reading = unanswered && transport.fault() !== null;
    transport.close();
    if (unanswered) warmth.lost(request.model);
    const elapsedMs = server.clock.monotonic() - sentAt;
    giveBack(reading ? warmth.busyMs(request.model, attempt.promptTokens, elapsedMs) : 0);
  }
}

/** The context to send: the model's largest so far, never above what it was trained for (O8). */
function contextFor(parts: Parts, name: string, facts: OllamaFacts, wanted = parts.settings.numCtx): number {
  return parts.warmth.context(name, Math.min(wanted, facts.description.contextTokens));
}

/** A crashed runner is listed by `ps` as if it lived (O16), and a model may be deleted under us. */
function forgetWhatChanged(parts: Parts, name: string, error: unknown): void {
  if (!(error instanceof OllamaFault) || (error.kind !== 'status' && error.kind !== 'error-line')) return;
  parts.warmth.lost(name);
  if (error.status === 404) parts.facts.forget(name);
}
