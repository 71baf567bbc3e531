import type { ChatRequest } from 'ollama';
import { askOllama, type OllamaServer, unlessAborted } from './ollamaAsk.ts';

/** A model of many gigabytes is read from disk for minutes; seen on two cores: 0.2 to 0.8 s for 98 MB. */
const LOAD_MS = 600_000;
const LOADING = { connectMs: 5_000, firstByteMs: LOAD_MS, chunkMs: LOAD_MS, totalMs: LOAD_MS };
const MAX_MODELS = 100;
const RATES_KEPT = 8;
/** Prompt tokens a second before anything was measured. */
const UNKNOWN_RATE = 100;
/** Shorter prompts say nothing about the speed of reading. */
const RATE_FROM_TOKENS = 64;
const MAX_BUSY_MS = 120_000;

interface Warmth {
  /** Tokens; only ever grows: each change reloads the model for everybody (O8). */
  numCtx: number;
  /** Context it was loaded with when it was last seen to be. */
  loadedCtx: number;
  /** `clock.monotonic()` until which the server keeps it loaded, as far as we know. */
  warmUntil: number;
  loading: Promise<void> | null;
  /** Prompt tokens a second, the latest ones; a cached prefix makes some of them far too high. */
  rates: number[];
}

function forgetOldest(models: Map<string, Warmth>): void {
  const oldest = models.keys().next().value;
  if (models.size > MAX_MODELS && oldest !== undefined) models.delete(oldest);
}

/** From the slowest of the latest rates. */
function readingMs(promptTokens: number, rates: readonly number[], elapsedMs: number): number {
  const rate = rates.length > 0 ? Math.min(...rates) : UNKNOWN_RATE;
  return Math.min(MAX_BUSY_MS, Math.max(0, Math.ceil((promptTokens / rate) * 1000 - elapsedMs)));
}

/** No messages: an order to load, answered by one document when it is done. */
function loadRequest(model: string, numCtx: number, keepAliveMs: number): ChatRequest & { stream: false } {
  return { model, messages: [], stream: false, options: { num_ctx: numCtx }, keep_alive: `${keepAliveMs}ms` };
}

/** Which models the server holds, with which context, and how fast they read. */
export function createWarmth(server: OllamaServer, closing: AbortSignal, keepAliveMs: number) {
  const models = new Map<string, Warmth>();
  const of = (name: string): Warmth => {
    const state = models.get(name) ?? { numCtx: 0, loadedCtx: 0, warmUntil: -Infinity, loading: null, rates: [] };
    models.delete(name);
    models.set(name, state);
    forgetOldest(models);
    return state;
  };
  const stay = (state: Warmth, numCtx: number): void => {
    state.loadedCtx = numCtx;
    state.warmUntil = server.clock.monotonic() + keepAliveMs;
  };
  const warm = (state: Warmth): boolean =>
    state.loadedCtx === state.numCtx && state.warmUntil > server.clock.monotonic();
  const load = async (name: string, state: Warmth): Promise<void> => {
    const { numCtx } = state;
    const request = loadRequest(name, numCtx, keepAliveMs);
    await askOllama(server, closing, (client) => client.chat(request), LOADING);
    stay(state, numCtx);
  };
  return {
    /** The context to send for a model: the largest that was asked for so far. */
    context(name: string, wanted: number): number {
      const state = of(name);
      state.numCtx = Math.max(state.numCtx, wanted);
      return state.numCtx;
    },
    /**
     * Resolves when the model is loaded with its context. One load serves all who wait, and goes on when they leave:
     * an aborted load is thrown away by the server, and each retry would start from nothing (O3).
     */
    async ready(name: string, signal: AbortSignal): Promise<void> {
      const state = of(name);
      // A load under way may be for a smaller context than is wanted by now.
      while (!warm(state)) {
        state.loading ??= load(name, state).finally(() => (state.loading = null));
        state.loading.catch(() => undefined);
        await unlessAborted(state.loading, signal);
      }
    },
    /** An answer came: the model stays for another `keepAliveMs`. */
    used(name: string, numCtx: number): void {
      stay(of(name), numCtx);
    },
    /** It did not answer: whether it is still loaded is not known, so the next call loads it first. */
    lost(name: string): void {
      of(name).warmUntil = -Infinity;
    },
    read(name: string, promptTokens: number, promptMs: number): void {
      if (promptTokens < RATE_FROM_TOKENS || !(promptMs > 0)) return;
      const state = of(name);
      state.rates = [...state.rates, (promptTokens / promptMs) * 1000].slice(-RATES_KEPT);
    },
    /** How much longer the runner reads a prompt that nobody waits for any more: it holds its slot to the end (O2). */
    busyMs(name: string, promptTokens: number, elapsedMs: number): number {
      return readingMs(promptTokens, of(name).rates, elapsedMs);
    },
  };
}
