/** Which models there are: the built-in one always, Ollama where its server answers. */
import type { LanguageModel, ModelLibrary } from '../domain/ports.ts';
import type { Settings } from '../infra/config.ts';
import { createOfflineModel } from '../infra/offlineModel.ts';
import { createOllamaModel } from '../infra/ollama.ts';
import { createOllamaLibrary } from '../infra/ollamaLibrary.ts';
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
  const ollamaNames = async () => {
    if (!(await ollama.reachable().catch(() => false))) return [];
    return (await library.list().catch(() => [])).map(({ name }) => name);
  };
  return {
    providers: new Map<string, LanguageModel>([
      ['offline', offline],
      ['ollama', ollama],
    ]),
    library,
    ollamaNames,
    async describe() {
      const names = await ollamaNames();
      const lines =
        names.length > 0
          ? [`Ollama at ${settings.OLLAMA_URL}: ${names.slice(0, 4).join(', ')}${names.length > 4 ? ', …' : ''}`]
          : [];
      if (settings.OPENAI_API_KEY !== undefined)
        lines.push('OPENAI_API_KEY is set; OpenAI is not supported by this version yet');
      if (settings.ANTHROPIC_API_KEY !== undefined)
        lines.push('ANTHROPIC_API_KEY is set; Anthropic is not supported by this version yet');
      if (names.length === 0) lines.push('no Ollama answers at OLLAMA_URL: only the built-in model is there');
      return [...lines, 'built-in offline model: no weights, composes from topic and document'];
    },
    close: () => ollama.close(),
  };
}
