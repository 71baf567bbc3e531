import { createOllamaModel } from '../../infra/ollama.ts';
import { languageModelContract } from '../contracts/languageModel.ts';
import { ollamaForTests } from '../services.ts';
import { startOllamaStandin } from '../standins/ollama.ts';
import { wallClock } from '../standins/wallClock.ts';

languageModelContract('Ollama adapter, stand-in with recorded frames', async () => {
  const standin = await startOllamaStandin();
  const model = createOllamaModel({ baseUrl: standin.url, clock: wallClock, connectMs: 1_000 });
  standin.delays.frameMs = 2;
  standin.writes(200);
  return {
    model,
    modelName: 'smollm2',
    patienceMs: 5_000,
    unknownName: 'rec-none',
    smallContext: 4_096,
    working: () => standin.working(),
    asked: () => standin.requests.length,
    faults: { set: (fault) => standin.fail(fault), restore: () => standin.fail(null) },
    stop: async () => {
      model.close();
      await standin.stop();
    },
  };
});

const real = await ollamaForTests();
if (real === null)
  console.log('left out: the LanguageModel contract against a real Ollama (TEST_OLLAMA_URL is not set)');
else
  languageModelContract(
    `Ollama adapter, ${real.description}, smollm2:135m`,
    async () => {
      const model = createOllamaModel({ baseUrl: real.url, clock: wallClock });
      return {
        model,
        modelName: 'smollm2:135m',
        patienceMs: 110_000,
        unknownName: 'rec-none',
        smallContext: 4_096,
        stop: () => model.close(),
      };
    },
    { counting: 'a real server counts no calls', faults: 'a real server does nothing wrong at our word' },
  );
