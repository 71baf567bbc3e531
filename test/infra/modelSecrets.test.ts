/** What must not leave the adapters of providers reached over HTTP: keys, accounts, paths, addresses. */
import { inspect } from 'node:util';
import * as assert from 'uvu/assert';
import type { ModelFailure } from '../../domain/model.ts';
import { failureOf } from '../contracts/languageModelCalls.ts';
import { suite, type Suite } from '../harness.ts';
import { anthropicUnderTest } from '../standins/anthropic.ts';
import { ECHOED_KEY, type ModelServerFault, modelServerFaults } from '../standins/modelServerFaults.ts';
import {
  type ModelServerFixture,
  modelServerFixture,
  type ProviderUnderTest,
  TEST_KEY,
} from '../standins/modelServerFixture.ts';
import { openAiUnderTest } from '../standins/openai.ts';
import { wallClock } from '../standins/wallClock.ts';

const soon = { firstByteMs: 150, chunkMs: 150, totalMs: 1_000 };
/** What ends only by a deadline. */
const SILENT: readonly ModelServerFault[] = [
  'stallBeforeFirstByte',
  'slowHeaders',
  'headersOnly',
  'stallAfterFirstByte',
  'endless',
];
/** What is an answer all the same. */
const HARMLESS: readonly ModelServerFault[] = ['comments', 'pings', 'carriageReturns', 'refusal'];

for (const provider of [openAiUnderTest, anthropicUnderTest]) {
  const test = suite(`${provider.name}: secrets`);
  secrets(test, modelServerFixture(test, provider));
  refusedSettings(test, provider);
  test.run();
}

function secrets(test: Suite, own: ModelServerFixture): void {
  test(
    'no failure holds the key, the account, a path or the address, and nothing is printed',
    async () => {
      const methods = ['log', 'warn', 'error', 'info', 'debug'] as const;
      const printed: unknown[][] = [];
      const before = { ...console };
      for (const method of methods) console[method] = (...words: unknown[]) => void printed.push(words);
      const failures: [string, ModelFailure][] = [];
      try {
        for (const fault of Object.keys(modelServerFaults) as ModelServerFault[]) {
          if (HARMLESS.includes(fault)) continue;
          own.standin.fail(fault);
          const ends = SILENT.includes(fault) ? { deadlines: soon } : {};
          failures.push([fault, await failureOf(own.subject, ends)]);
        }
      } finally {
        Object.assign(console, before);
      }
      assert.ok(failures.length > 30);
      const { host } = new URL(own.standin.url);
      for (const [fault, failure] of failures) {
        const shown = inspect({ ...failure, message: failure.message, cause: failure.cause }, { depth: 12 });
        for (const secret of [TEST_KEY, ECHOED_KEY, 'org-acme', '/srv/', host])
          assert.not.ok(shown.includes(secret), fault);
      }
      assert.ok(own.standin.chats().every(({ headers }) => JSON.stringify(headers).includes(TEST_KEY)));
      assert.equal(printed, []);
    },
    { deadlineMs: 60_000 },
  );
}

function refusedSettings(test: Suite, { create }: ProviderUnderTest): void {
  const plain = { clock: wallClock, contextTokens: 4_096 };

  test('base URLs and keys that cannot work are refused, without repeating them', () => {
    for (const baseUrl of ['', 'name', 'ftp://x', 'https://user:secret@name/v1'])
      assert.throws(
        () => create({ ...plain, baseUrl }),
        (error: Error) => /BASE_URL/.test(error.message) && !/secret/.test(error.message),
      );
    for (const apiKey of ['', 'sk-secret\n', 'sk secret', 'sk-sécret'])
      assert.throws(
        () => create({ ...plain, baseUrl: 'https://name/v1', apiKey }),
        (error: Error) => /API_KEY/.test(error.message) && !/s.cret/.test(error.message),
      );
  });
}
