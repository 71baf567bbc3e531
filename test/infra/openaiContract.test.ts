import { createOpenAiModel } from '../../infra/openai.ts';
import { languageModelContract } from '../contracts/languageModel.ts';
import { ollamaForTests } from '../services.ts';
import { STANDIN_CONTEXT, STANDIN_MODEL } from '../standins/modelServer.ts';
import { startOpenAiStandin } from '../standins/openai.ts';
import { wallClock } from '../standins/wallClock.ts';

languageModelContract('OpenAI adapter, stand-in with recorded chunks', async () => {
  const standin = await startOpenAiStandin();
  const model = createOpenAiModel({
    baseUrl: `${standin.url}/v1`,
    apiKey: 'sk-of-the-test',
    clock: wallClock,
    contextTokens: STANDIN_CONTEXT,
    connectMs: 1_000,
  });
  standin.delays.pieceMs = 2;
  standin.writes(200);
  return {
    model,
    modelName: STANDIN_MODEL,
    patienceMs: 5_000,
    unknownName: 'rec-none',
    smallContext: STANDIN_CONTEXT,
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
  console.log('left out: the LanguageModel contract of OpenAI’s protocol on a real Ollama: TEST_OLLAMA_URL is not set');
else
  languageModelContract(
    `OpenAI adapter, ${real.description}, smollm2:135m`,
    async () => {
      const model = createOpenAiModel({ baseUrl: `${real.url}/v1`, clock: wallClock, contextTokens: 4_096 });
      return {
        model,
        modelName: 'smollm2:135m',
        patienceMs: 110_000,
        unknownName: 'rec-none',
        stop: () => model.close(),
      };
    },
    {
      contextLimit: 'Ollama cuts a prompt that is too long on this route in silence',
      counting: 'a real server counts no calls',
      faults: 'a real server does nothing wrong at our word',
    },
  );
