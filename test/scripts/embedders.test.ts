import * as assert from 'uvu/assert';
import { Refusal } from '../../domain/refusal.ts';
import { settingsSchema } from '../../infra/config.ts';
import { openEmbedders } from '../../scripts/embedders.ts';
import { refusalOf } from '../contracts/modelLibrary.ts';
import { suite } from '../harness.ts';
import { startEmbeddingsStandin } from '../standins/embeddings.ts';

const test = suite('Embedders by name');
const forever = { signal: new AbortController().signal };
const codeIn = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    return error instanceof Refusal ? `${error.code} ${error.message}` : String(error);
  }
  return 'nothing thrown';
};

test('each name opens its adapter once, with the settings', async () => {
  const standin = await startEmbeddingsStandin();
  const embedders = openEmbedders(
    settingsSchema.parse({ OLLAMA_URL: standin.url, OPENAI_BASE_URL: `${standin.url}/v1` }),
  );
  for (const name of ['builtin', 'ollama:minilm', 'openai:minilm']) {
    assert.is((await embedders.named(name).describe(forever)).name, name);
    assert.is(embedders.named(name), embedders.named(name));
  }
  const late = embedders.named('ollama:other');
  await embedders.close();
  for (const embedder of [late, embedders.named('builtin'), embedders.named('openai:minilm')])
    assert.is((await refusalOf(embedder.embed(['a'], forever))).code, 'unavailable');
  await standin.stop();
});

test('a provider that is not set up says what to set, and other names are refused', () => {
  const embedders = openEmbedders(settingsSchema.parse({}));
  assert.match(
    codeIn(() => embedders.named('openai:text-embedding-3-small')),
    /^unavailable .*OPENAI_API_KEY/,
  );
  for (const name of ['', 'nothing', 'ollama:', 'anthropic:x'])
    assert.match(
      codeIn(() => embedders.named(name)),
      /^invalid/,
      name,
    );
});

test('settings that cannot be used blame no text', async () => {
  const embedders = openEmbedders(settingsSchema.parse({ OLLAMA_URL: 'http://name:password@127.0.0.1:9' }));
  const refusal = await refusalOf(embedders.named('ollama:minilm').embed(['a'], forever));
  assert.equal([refusal.code, refusal.retryable], ['unavailable', false]);
  assert.not.match(refusal.message, /password@/);
  await embedders.close();
});

test.run();
