/** Which models embed: the built-in one always, those of Ollama and of OpenAI's protocol as set. */
import type { Embedder } from '../domain/meaning/embedder.ts';
import { Refusal } from '../domain/refusal.ts';
import { type Settings, settingsSchema } from '../infra/config.ts';
import { systemClock } from '../infra/system.ts';

export interface Embedders {
  /**
   * The embedder of that name, in the form of EMBEDDER, the same one each time; nothing is loaded or asked yet.
   * @throws Refusal `invalid` for another name, `unavailable` for a provider that is not set up.
   */
  named(name: string): Embedder;
  /** Ends all that were opened. */
  close(): Promise<void>;
}

/** Adapters are loaded with their first call, so that a start costs nothing. */
export function openEmbedders(settings: Settings): Embedders {
  const opened = new Map<string, Embedder>();
  return {
    named(name) {
      const known = opened.get(name);
      if (known) return known;
      const embedder = lazily(openerOf(settings, name));
      opened.set(name, embedder);
      return embedder;
    },
    async close() {
      await Promise.all([...opened.values()].map((embedder) => embedder.close()));
    },
  };
}

function openerOf(settings: Settings, name: string): () => Promise<Embedder> {
  if (name === 'builtin') return async () => (await import('../infra/builtinEmbedder.ts')).createBuiltinEmbedder();
  const [, provider, model] = /^(ollama|openai):(\S.{0,199})$/.exec(name) ?? [];
  if (provider === undefined || model === undefined)
    throw new Refusal('invalid', 'an embedder is named builtin, ollama:<model> or openai:<model>');
  const clock = systemClock;
  if (provider === 'ollama')
    return async () =>
      (await import('../infra/ollamaEmbedder.ts')).createOllamaEmbedder({ baseUrl: settings.OLLAMA_URL, clock, model });
  const { OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseUrl } = settings;
  if (apiKey === undefined && baseUrl === settingsSchema.shape.OPENAI_BASE_URL.parse(undefined))
    throw new Refusal(
      'unavailable',
      'EMBEDDER names a model of OpenAI: set OPENAI_API_KEY, or OPENAI_BASE_URL for a server that needs no key',
      { retryable: false },
    );
  return async () =>
    (await import('../infra/openaiEmbedder.ts')).createOpenAiEmbedder({
      baseUrl,
      clock,
      model,
      ...(apiKey === undefined ? {} : { apiKey }),
    });
}

function lazily(open: () => Promise<Embedder>): Embedder {
  let opening: Promise<Embedder> | null = null;
  let closed = false;
  const ready = async (): Promise<Embedder> => {
    if (closed) throw new Refusal('unavailable', 'the embedder was closed', { retryable: false });
    try {
      return await (opening ??= open());
    } catch (error) {
      // `invalid` would mean the texts.
      const why = error instanceof Refusal ? error.message : 'its packages must be installed again';
      throw new Refusal('unavailable', `the embedder cannot be opened: ${why}`, { retryable: false });
    }
  };
  return {
    describe: async (options) => await (await ready()).describe(options),
    embed: async (texts, options) => await (await ready()).embed(texts, options),
    async close() {
      closed = true;
      await (await opening?.catch(() => null))?.close();
    },
  };
}
