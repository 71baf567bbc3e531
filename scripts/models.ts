/** Which models there are: the built-in one always, Ollama where its server answers, OpenAI and Anthropic as set. */
import type { LanguageModel, ModelLibrary } from '../domain/ports.ts';
import { createAnthropicModel } from '../infra/anthropic.ts';
import { type Settings, settingsSchema } from '../infra/config.ts';
import type { HttpModel } from '../infra/modelOverHttp.ts';
import { createOfflineModel } from '../infra/offlineModel.ts';
import { createOllamaModel } from '../infra/ollama.ts';
import { createOllamaLibrary } from '../infra/ollamaLibrary.ts';
import { createOpenAiModel } from '../infra/openai.ts';
import { systemClock } from '../infra/system.ts';

export interface Models {
  readonly providers: ReadonlyMap<string, LanguageModel>;
  readonly library: ModelLibrary;
  /** What to tell a person: one line for each provider. */
  describe(): Promise<string[]>;
  /** Names of the Ollama server's models; empty when it does not answer. */
  ollamaNames(): Promise<string[]>;
  close(): void;
}

/** @param settings addresses and keys; nothing is asked yet. */
export function openModels(settings: Settings): Models {
  const pace =
    settings.OFFLINE_TOKENS_PER_SECOND === undefined ? {} : { tokensPerSecond: settings.OFFLINE_TOKENS_PER_SECOND };
  const shared = { baseUrl: settings.OLLAMA_URL, clock: systemClock, numCtx: settings.OLLAMA_NUM_CTX };
  const ollama = createOllamaModel({ ...shared, maxConcurrent: settings.OLLAMA_CONCURRENCY });
  const library = createOllamaLibrary(shared);
  const offline = createOfflineModel({ clock: systemClock, ...pace });
  const remote = openRemote(settings);
  const ollamaNames = async () => {
    if (!(await ollama.reachable().catch(() => false))) return [];
    return (await library.list().catch(() => [])).map(({ name }) => name);
  };
  return {
    providers: new Map<string, LanguageModel>([
      ['offline', offline],
      ['ollama', ollama],
      ...remote.map(({ model }) => [model.provider, model] as const),
    ]),
    library,
    ollamaNames,
    async describe() {
      const names = await ollamaNames();
      const lines =
        names.length > 0
          ? [`Ollama at ${settings.OLLAMA_URL}: ${names.slice(0, 4).join(', ')}${names.length > 4 ? ', …' : ''}`]
          : [];
      lines.push(...remote.map(({ line }) => line));
      const alone = remote.length === 0 ? ': only the built-in model is there' : '';
      if (names.length === 0) lines.push(`no Ollama answers at OLLAMA_URL${alone}`);
      return [...lines, 'built-in offline model: no weights, composes from topic and document'];
    },
    close() {
      ollama.close();
      for (const { model } of remote) model.close();
    },
  };
}

/** Those with a key, or with another address than the provider's own: such a server may need no key. */
function openRemote(settings: Settings): { model: HttpModel; line: string }[] {
  const known = [
    { setting: 'OPENAI', called: 'OpenAI', create: createOpenAiModel },
    { setting: 'ANTHROPIC', called: 'Anthropic', create: createAnthropicModel },
  ] as const;
  return known.flatMap(({ setting, called, create }) => {
    const apiKey = settings[`${setting}_API_KEY`];
    const baseUrl = settings[`${setting}_BASE_URL`];
    const elsewhere = baseUrl !== settingsSchema.shape[`${setting}_BASE_URL`].parse(undefined);
    if (apiKey === undefined && !elsewhere) return [];
    const contextTokens = settings[`${setting}_CONTEXT_TOKENS`];
    const model = create({ baseUrl, contextTokens, clock: systemClock, ...(apiKey === undefined ? {} : { apiKey }) });
    const place = elsewhere ? `what speaks ${called}'s protocol at ${new URL(baseUrl).host}` : called;
    return [{ model, line: `provider ${model.provider}: ${place}` }];
  });
}
