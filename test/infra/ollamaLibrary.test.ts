import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import type { ModelLibrary } from '../../domain/ports.ts';
import { createOllamaLibrary } from '../../infra/ollamaLibrary.ts';
import { modelLibraryContract, pulled, refusalOf } from '../contracts/modelLibrary.ts';
import { suite } from '../harness.ts';
import { ollamaForTests } from '../services.ts';
import { startOllamaStandin } from '../standins/ollama.ts';
import { ollamaFixture, until } from '../standins/ollamaFixture.ts';
import { wallClock } from '../standins/wallClock.ts';

const forever = new AbortController().signal;
const test = suite('Ollama library');
const own = ollamaFixture(test);
const library = (): ModelLibrary => createOllamaLibrary({ baseUrl: own.standin.url, clock: wallClock });

test('models are listed, shown, and seen running', async () => {
  assert.equal((await library().list())[0], {
    provider: 'ollama',
    name: 'smollm2:latest',
    digest: 'd'.repeat(64),
    sizeBytes: 98_363_007,
  });
  const shown = await library().show('smollm2');
  assert.equal(shown.capabilities, ['completion']);
  assert.is(shown.contextTokens, 8_192);
  assert.equal(await library().running(), []);
  await own.model.warmUp('smollm2', { signal: forever });
  const [running] = await library().running();
  assert.is(running?.contextTokens, 4_096);
  assert.ok(typeof running?.expiresAt === 'string');
});

test('O21: a pull that fails inside a 200 stream fails', async () => {
  const refusal = await refusalOf(pulled(library(), 'rec-none'));
  assert.is(refusal.code, 'unavailable');
  assert.match(refusal.message, /registry/);
  const error = 'pull model manifest: file does not exist';
  own.standin.answerNext('/api/pull', { status: 200, frames: [{ status: 'pulling manifest' }, { error }] });
  assert.is((await refusalOf(pulled(library(), 'rec-none'))).code, 'not-found');
});

test('O21: a pull that ends without success fails', async () => {
  own.standin.answerNext('/api/pull', { status: 200, frames: [{ status: 'pulling manifest' }] });
  assert.is((await refusalOf(pulled(library(), 'smollm2'))).code, 'unavailable');
});

test('progress of a pull counts the bytes of all layers', async () => {
  const layer = (digest: string, total: number, completed?: number) => ({
    status: `pulling ${digest}`,
    digest: `sha256:${digest}`,
    total,
    ...(completed === undefined ? {} : { completed }),
  });
  const frames = [
    { status: 'pulling manifest' },
    layer('a'.repeat(64), 100),
    layer('a'.repeat(64), 100, 60),
    layer('a'.repeat(64), 100, 100),
    layer('b'.repeat(64), 20, 5),
    { status: 'verifying sha256 digest' },
    { status: 'success' },
  ];
  own.standin.answerNext('/api/pull', { status: 200, frames });
  const progress = await pulled(library(), 'smollm2');
  assert.equal(
    progress.map(({ done, total }) => [done, total]),
    [
      [0, 0],
      [0, 100],
      [60, 100],
      [100, 100],
      [105, 120],
      [105, 120],
      [105, 120],
    ],
  );
  assert.is(progress.at(-1)?.status, 'success');
});

test('a pull that is left, or aborted, ends the pull', async () => {
  const stall = () =>
    own.standin.answerNext('/api/pull', { status: 200, raw: ['{"status":"pulling manifest"}\n'], open: true });
  stall();
  for await (const _step of library().pull('smollm2', { signal: forever })) break;
  await until(() => own.standin.requests.at(-1)?.cut === true);
  stall();
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 50);
  assert.match((await refusalOf(pulled(library(), 'smollm2', stop.signal))).message, /cancelled/);
  await until(() => own.standin.requests.at(-1)?.cut === true);
});

test('O14: an error in a 200 is an error, and so is what Ollama would not answer', async () => {
  own.standin.answerNext('/api/tags', { status: 200, body: { error: 'boom' } });
  assert.is((await refusalOf(library().list())).code, 'unavailable');
  own.standin.answerNext('/api/tags', { status: 200, body: { models: [{ nothing: 1 }] } });
  assert.is((await refusalOf(library().list())).retryable, false);
});

test.run();

const nowhere = createOllamaLibrary({ baseUrl: 'http://127.0.0.1:1', clock: wallClock });

modelLibraryContract('Ollama adapter, stand-in with recorded answers', async () => {
  const standin = await startOllamaStandin();
  return {
    library: createOllamaLibrary({ baseUrl: standin.url, clock: wallClock }),
    provider: 'ollama',
    modelName: 'smollm2:latest',
    unknownName: 'rec-none',
    removable: async () => 'smollm2:135m',
    nowhere,
    stop: () => standin.stop(),
  };
});

const real = await ollamaForTests();
if (real === null)
  console.log('left out: the ModelLibrary contract against a real Ollama (TEST_OLLAMA_URL is not set)');
else
  modelLibraryContract(`Ollama adapter, ${real.description}`, async () => ({
    library: createOllamaLibrary({ baseUrl: real.url, clock: wallClock }),
    provider: 'ollama',
    modelName: 'smollm2:135m',
    unknownName: 'colloquy-no-such-model',
    removable: async () => {
      const destination = `colloquy-test-${randomUUID().slice(0, 8)}`;
      const body = JSON.stringify({ source: 'smollm2:135m', destination });
      await fetch(new URL('/api/copy', real.url), { method: 'POST', body, signal: AbortSignal.timeout(10_000) });
      return destination;
    },
    nowhere,
    stop: () => undefined,
  }));
