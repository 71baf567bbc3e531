import { Ollama } from 'ollama';
import { z } from 'zod';
import type { Clock, ModelLibrary } from '../domain/ports.ts';
import { askOllama, checkedBaseUrl, DEFAULT_NUM_CTX, type OllamaServer } from './ollamaAsk.ts';
import { parsed, readFacts, tagsSchema } from './ollamaFacts.ts';
import { OllamaFault, refusalOf } from './ollamaFault.ts';
import { checkModelName } from './ollamaParameters.ts';
import { createOllamaTransport } from './ollamaTransport.ts';

export interface OllamaLibraryOptions {
  readonly baseUrl: string;
  readonly clock: Clock;
  /** As in `OllamaOptions`. */
  readonly numCtx?: number;
}

/** The registry is asked before the first byte; a finished layer of gigabytes is checked in silence. */
const PULLING = { connectMs: 5_000, firstByteMs: 60_000, chunkMs: 600_000, totalMs: 21_600_000 };
/** A frame every 60 ms for six hours, twice over. */
const MAX_PROGRESS_BYTES = 256 * 1024 * 1024;
const MAX_LAYERS = 1_000;

const runningSchema = z.object({
  models: z
    .array(
      z.object({
        name: z.string(),
        digest: z.string().optional(),
        size: z.number().optional(),
        context_length: z.number().optional(),
        expires_at: z.string().optional(),
      }),
    )
    .nullish()
    .transform((models) => models ?? []),
});

const progressSchema = z.object({
  status: z.string().default(''),
  digest: z.string().optional(),
  total: z.number().min(0).optional(),
  completed: z.number().min(0).optional(),
});

/** The models of an Ollama server. @throws Refusal `invalid` for a base URL that cannot be used. */
export function createOllamaLibrary(options: OllamaLibraryOptions): ModelLibrary {
  const server: OllamaServer = {
    baseUrl: checkedBaseUrl(options.baseUrl),
    clock: options.clock,
    numCtx: options.numCtx ?? DEFAULT_NUM_CTX,
  };
  const asked = async <T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    try {
      return await call(new AbortController().signal);
    } catch (error) {
      throw refusalOf(error);
    }
  };
  return {
    list: () =>
      asked(async (signal) => {
        const { models } = parsed(tagsSchema, await askOllama(server, signal, (client) => client.list()));
        return models.map(stored);
      }),
    show: (name) =>
      asked(async (signal) => {
        checkModelName(name);
        const { description, capabilities } = await readFacts(server, name, signal);
        return { ...description, capabilities };
      }),
    pull: (name, { signal }) => pull(server, name, signal),
    remove: (name) =>
      asked(async (signal) => {
        checkModelName(name);
        await askOllama(server, signal, (client) => client.delete({ model: name }));
      }),
    running: () =>
      asked(async (signal) => {
        const { models } = parsed(runningSchema, await askOllama(server, signal, (client) => client.ps()));
        return models.map((model) => ({
          ...stored(model),
          contextTokens: model.context_length ?? null,
          expiresAt: model.expires_at ?? null,
        }));
      }),
  };
}

function stored(model: { name: string; digest?: string | undefined; size?: number | undefined }) {
  return { provider: 'ollama', name: model.name, digest: model.digest ?? null, sizeBytes: model.size ?? null };
}

interface Progress {
  readonly status: string;
  readonly done: number;
  readonly total: number;
}

/** Leaving the loop, or the signal, ends the pull; what has arrived stays with the server and is not fetched again. */
async function* pull(server: OllamaServer, name: string, signal: AbortSignal): AsyncGenerator<Progress> {
  const transport = createOllamaTransport({
    clock: server.clock,
    signals: [signal],
    limits: PULLING,
    answer: 'lines',
    maxBytes: MAX_PROGRESS_BYTES,
  });
  const layers = new Map<string, { total: number; done: number }>();
  try {
    checkModelName(name);
    const client = new Ollama({ host: server.baseUrl, fetch: transport.fetch });
    for await (const frame of await client.pull({ model: name, stream: true }))
      yield progressOf(parsed(progressSchema, frame), layers);
  } catch (error) {
    throw refusalOf(transport.fault() ?? error);
  } finally {
    transport.close();
  }
}

/** Ollama counts each layer for itself. */
function progressOf(
  frame: z.infer<typeof progressSchema>,
  layers: Map<string, { total: number; done: number }>,
): Progress {
  if (frame.digest !== undefined && frame.total !== undefined) {
    layers.set(frame.digest, { total: frame.total, done: frame.completed ?? 0 });
    if (layers.size > MAX_LAYERS)
      throw new OllamaFault('malformed', 'Ollama reports more layers than a model can have');
  }
  const sum = { status: frame.status.replace(/sha256:([0-9a-f]{12})[0-9a-f]*/, '$1'), done: 0, total: 0 };
  for (const layer of layers.values()) {
    sum.done += layer.done;
    sum.total += layer.total;
  }
  return sum;
}
