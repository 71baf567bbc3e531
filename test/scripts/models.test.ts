/** Which providers the settings bring about. */
import * as assert from 'uvu/assert';
import { readSettings } from '../../infra/config.ts';
import { openModels } from '../../scripts/models.ts';
import { suite } from '../harness.ts';

const test = suite('providers by settings');
const NOBODY = 'http://127.0.0.1:1';

/** Names of the providers, and what the start box says of them. */
async function opened(environment: Record<string, string>): Promise<{ names: string[]; lines: string }> {
  const models = openModels(readSettings({}, { OLLAMA_URL: NOBODY, ...environment }));
  try {
    return { names: [...models.providers.keys()], lines: (await models.describe()).join('\n') };
  } finally {
    models.close();
  }
}

test('OpenAI and Anthropic are there with a key, or with a server of their own', async () => {
  const cases: [Record<string, string>, string[]][] = [
    [{}, []],
    [{ OPENAI_BASE_URL: 'https://api.openai.com/v1/', ANTHROPIC_BASE_URL: 'https://api.anthropic.com' }, []],
    [{ OPENAI_API_KEY: 'sk-secret' }, ['openai']],
    [{ ANTHROPIC_API_KEY: 'sk-secret' }, ['anthropic']],
    [{ OPENAI_BASE_URL: `${NOBODY}/v1`, ANTHROPIC_BASE_URL: NOBODY }, ['openai', 'anthropic']],
  ];
  for (const [environment, expected] of cases) {
    const { names, lines } = await opened(environment);
    assert.equal(names, ['offline', 'ollama', ...expected], JSON.stringify(environment));
    for (const name of expected) assert.match(lines, `provider ${name}`);
    assert.is(lines.includes('only the built-in model'), expected.length === 0);
    assert.not.match(lines, /secret/);
  }
});

test('a key that no header can carry is refused at the start, without being shown', () => {
  const settings = readSettings({}, { OPENAI_API_KEY: 'sk-secret\u00e9' });
  assert.throws(
    () => openModels(settings),
    (error: Error) => /OPENAI_API_KEY/.test(error.message) && !error.message.includes('secret'),
  );
});

test.run();
