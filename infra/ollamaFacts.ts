import { z } from 'zod';
import type { ModelDescription } from '../domain/model.ts';
import { askOllama, type OllamaServer, unlessAborted } from './ollamaAsk.ts';
import { OllamaFault } from './ollamaFault.ts';

export interface OllamaFacts {
  readonly description: ModelDescription;
  readonly capabilities: readonly string[];
  /** The model's own stop phrases: a request's list replaces them (O10), so they are sent with it. */
  readonly stops: readonly string[];
}

/** How long a model's digest is believed. What `show` says belongs to the digest and is asked again only with it. */
const BELIEVED_MS = 60_000;
const MAX_MODELS = 100;
/** Models reserve hundreds of tokens that mean nothing; each claim records the list. */
const MAX_CONTROL_TOKENS = 64;
const MAX_STOPS = 16;
const CONTROL = 3;

/** Tokens as templates write them: `<|im_start|>`, `<｜User｜>`, `<start_of_turn>`, `</s>`, `<<SYS>>`, `[INST]`. */
const TOKEN_SHAPES = [
  /<\|[^<>|\s]{1,60}\|>/gu,
  /<｜[^<>｜\s]{1,60}｜>/gu,
  /<<?\/?[A-Za-z][A-Za-z0-9_]{0,40}>?>/gu,
  /\[\/?[A-Z][A-Z_]{1,40}\]/gu,
];

export const tagsSchema = z.object({
  models: z
    .array(z.object({ name: z.string(), digest: z.string().optional(), size: z.number().optional() }))
    .nullish()
    .transform((models) => models ?? []),
});

const showSchema = z.object({
  template: z.string().default(''),
  parameters: z.string().default(''),
  capabilities: z.array(z.string()).default([]),
  model_info: z.record(z.string(), z.unknown()).default({}),
});

/** `smollm2`, `SmolLM2:latest`: names are case-blind, and `latest` is understood (O9). */
export function sameName(name: string): string {
  const lower = name.toLowerCase();
  return lower.slice(lower.lastIndexOf('/') + 1).includes(':') ? lower : `${lower}:latest`;
}

/** What the server knows of a model. Rejects with an `OllamaFault`, of kind `missing` for an unknown name. */
export async function readFacts(server: OllamaServer, name: string, signal: AbortSignal): Promise<OllamaFacts> {
  const digest = await readDigest(server, name, signal);
  return await readShow(server, name, digest, signal);
}

async function readDigest(server: OllamaServer, name: string, signal: AbortSignal): Promise<string | null> {
  const { models } = parsed(tagsSchema, await askOllama(server, signal, (client) => client.list()));
  return models.find((model) => sameName(model.name) === sameName(name))?.digest ?? null;
}

async function readShow(
  server: OllamaServer,
  name: string,
  digest: string | null,
  signal: AbortSignal,
): Promise<OllamaFacts> {
  // `verbose` brings the vocabulary with it: tokens such as `<|endoftext|>` stand in no template and are live all the
  // same (seen: one token more in the prompt, like `<|im_end|>`; a made-up `<|nothing|>` was five).
  const request = { model: name, verbose: true };
  const shown = parsed(showSchema, await askOllama(server, signal, (client) => client.show(request)));
  const stops = stopsOf(shown.parameters);
  const contextTokens = contextOf(shown.model_info);
  if (contextTokens === null)
    throw new OllamaFault('invalid', 'Ollama does not say how large the context of the model is');
  return {
    description: {
      provider: 'ollama',
      name,
      digest,
      contextTokens,
      defaultContextTokens: Math.min(contextTokens, server.numCtx),
      controlTokens: controlTokensOf(shown.template, stops, shown.model_info),
    },
    capabilities: shown.capabilities,
    stops,
  };
}

/** The trained context (O8). */
function contextOf(info: Readonly<Record<string, unknown>>): number | null {
  const value = info[`${String(info['general.architecture'])}.context_length`];
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : null;
}

/** `parameters` is one text, a line per value, in changing order (O8): `stop    "<|im_end|>"`. */
function stopsOf(parameters: string): string[] {
  const stops: string[] = [];
  for (const line of parameters.split('\n')) {
    const value = /^stop\s+(.+)$/.exec(line.trim())?.[1];
    if (value !== undefined) stops.push(unquoted(value));
  }
  return [...new Set(stops)].sort().slice(0, MAX_STOPS);
}

function unquoted(value: string): string {
  try {
    const text: unknown = JSON.parse(value);
    return typeof text === 'string' ? text : value;
  } catch {
    return value;
  }
}

/** Those of the template first, then the vocabulary's; sorted, since the order decides what a prompt looks like. */
function controlTokensOf(
  template: string,
  stops: readonly string[],
  info: Readonly<Record<string, unknown>>,
): string[] {
  const written = [template, ...stops].flatMap((text) => TOKEN_SHAPES.flatMap((shape) => text.match(shape) ?? []));
  const tokens = info['tokenizer.ggml.tokens'];
  const kinds = info['tokenizer.ggml.token_type'];
  const control =
    Array.isArray(tokens) && Array.isArray(kinds)
      ? tokens.filter(
          (token, i): token is string => typeof token === 'string' && kinds[i] === CONTROL && token.trim().length > 1,
        )
      : [];
  const meaningful = control.filter((token) => !/reserved|unused/i.test(token));
  return [...new Set([...[...new Set(written)].sort(), ...meaningful.sort()])].slice(0, MAX_CONTROL_TOKENS);
}

/** The part of an answer that we read. @throws OllamaFault `not-ollama` when it has another shape. */
export function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (!result.success)
    throw new OllamaFault('not-ollama', 'what answers at the configured address does not answer as Ollama does');
  return result.data;
}

/** Facts by name, asked once for all who wait and believed for a minute. `closing` ends what is under way. */
export function createFactsCache(server: OllamaServer, closing: AbortSignal) {
  const known = new Map<string, { facts: OllamaFacts; at: number }>();
  const asking = new Map<string, Promise<OllamaFacts>>();
  const refresh = async (name: string): Promise<OllamaFacts> => {
    const before = known.get(name)?.facts;
    const digest = await readDigest(server, name, closing);
    const same = before !== undefined && digest !== null && before.description.digest === digest;
    const facts = same ? before : await readShow(server, name, digest, closing);
    known.delete(name);
    known.set(name, { facts, at: server.clock.monotonic() });
    const oldest = known.keys().next().value;
    if (known.size > MAX_MODELS && oldest !== undefined) known.delete(oldest);
    return facts;
  };
  return {
    async of(name: string, signal: AbortSignal): Promise<OllamaFacts> {
      const entry = known.get(name);
      if (entry && server.clock.monotonic() - entry.at < BELIEVED_MS) return entry.facts;
      let shared = asking.get(name);
      if (!shared) {
        shared = refresh(name).finally(() => asking.delete(name));
        asking.set(name, shared);
        // Those who wait hear of it; without one the failure must not end the process.
        shared.catch(() => undefined);
      }
      return await unlessAborted(shared, signal);
    },
    forget: (name: string): void => void known.delete(name),
  };
}
