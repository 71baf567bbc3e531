/** What only a real Ollama can prove: that it stops, that its seeds hold, that it cuts nothing in silence. */
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { createOllamaModel, type OllamaModel } from '../../infra/ollama.ts';
import { ask, collected, failureOf, type LanguageModelSubject, textOf } from '../contracts/languageModelCalls.ts';
import { suite, type Suite } from '../harness.ts';
import { ollamaForTests } from '../services.ts';
import { wallClock } from '../standins/wallClock.ts';

/** A busy machine takes seconds for a token. */
const slow = { deadlineMs: 300_000 };
const story = {
  messages: [{ role: 'user' as const, content: 'Write a long story about a river, with many chapters.' }],
  // With this seed the story goes on for over 100 tokens, seen.
  parameters: { num_predict: 2_000, seed: 5, temperature: 1 },
};
const TOKENS_READ = 11;

interface Proof {
  readonly url: string;
  readonly model: OllamaModel;
  readonly subject: LanguageModelSubject;
}

function open(url: string): Proof {
  const model = createOllamaModel({ baseUrl: url, clock: wallClock });
  return { url, model, subject: { model, modelName: 'smollm2:135m', patienceMs: 120_000, stop: () => undefined } };
}

const real = await ollamaForTests();
if (real === null) console.log('left out: the proofs against a real Ollama (TEST_OLLAMA_URL is not set)');
else {
  const { url, description } = real;
  const test = suite(`Ollama adapter: ${description}`);
  const own = open(url);
  test.before(() => own.model.warmUp('smollm2:135m', { signal: new AbortController().signal }));
  test.after(() => own.model.close());
  stopping(test, own);
  counting(test, own);
  test.run();
}

const countedSchema = z.object({
  total_duration: z.number(),
  load_duration: z.number(),
  prompt_eval_duration: z.number(),
  eval_duration: z.number(),
  eval_count: z.number().min(2),
});

/**
 * How long the next caller waited in the server's queue, in tokens of its own pace: the wait shows in `total_duration`
 * alone. A pace from before would not do: a shared machine may be ten times slower a second later (seen).
 */
async function waitInTokens(url: string): Promise<number> {
  const body = {
    model: 'smollm2:135m',
    messages: [{ role: 'user', content: 'Count to ten.' }],
    stream: false,
    options: { num_ctx: 4_096, num_predict: 5, temperature: 0, stop: ['never said'] },
  };
  const signal = AbortSignal.timeout(200_000);
  const answer = await fetch(new URL('/api/chat', url), { method: 'POST', body: JSON.stringify(body), signal });
  const counted = countedSchema.parse(await answer.json());
  const waited = counted.total_duration - counted.load_duration - counted.prompt_eval_duration - counted.eval_duration;
  return waited / (counted.eval_duration / counted.eval_count);
}

/** A server that works on makes each next caller wait for 100 tokens and more; someone else's call may do it once. */
async function provesStopped(what: string, url: string, cut: () => Promise<void>): Promise<void> {
  const waits: number[] = [];
  for (let i = 0; i < 2 && (waits.at(-1) ?? Infinity) > 30; i++) {
    await cut();
    waits.push(await waitInTokens(url));
  }
  console.log(
    `  ${what}: the next caller waited as long as for ${waits.map((wait) => wait.toFixed(1)).join(', then ')} tokens`,
  );
  assert.ok((waits.at(-1) ?? Infinity) <= 30);
}

function stopping(test: Suite, own: Proof): void {
  test(
    'O1: leaving the loop stops the server: the next caller does not wait for the rest',
    () =>
      provesStopped('left early', own.url, async () => {
        let frames = 0;
        for await (const event of ask(own.subject, story)) {
          if (event.type === 'done') throw new Error('the answer ended by itself');
          if (++frames === TOKENS_READ) break;
        }
      }),
    slow,
  );

  test(
    'O1, O5: a cancel stops the server: the next caller does not wait for the rest',
    () =>
      provesStopped('cancelled', own.url, async () => {
        const stop = new AbortController();
        let frames = 0;
        const failure = await failureOf(own.subject, story, stop.signal, () => {
          if (++frames === TOKENS_READ) stop.abort();
        });
        assert.is(failure.reason, 'cancelled');
        assert.ok((failure.usage?.outputTokens ?? 0) >= TOKENS_READ);
      }),
    slow,
  );
}

function counting(test: Suite, { model, subject }: Proof): void {
  test(
    'the same seed gives the same text, also after other prompts',
    async () => {
      const seeded = { parameters: { seed: 11, temperature: 1, num_predict: 16 } };
      const first = textOf(await collected(subject, seeded));
      await collected(subject, {});
      assert.is(textOf(await collected(subject, seeded)), first);
    },
    slow,
  );

  test(
    'O7: truncate false: a prompt over the context is refused at once, with nothing cut',
    async () => {
      const messages = [{ role: 'user' as const, content: 'river stone cloud paper '.repeat(1_500) }];
      const from = performance.now();
      const failure = await failureOf(subject, { messages });
      assert.is(failure.promptTooLong, true);
      assert.ok(performance.now() - from < 30_000);
    },
    slow,
  );

  test(
    'usage is what the server counts, cached prompts included',
    async () => {
      const usages = [];
      for (let i = 0; i < 2; i++) {
        const last = (await collected(subject, { parameters: { num_predict: 4, temperature: 0 } })).at(-1);
        usages.push(last?.type === 'done' ? last.usage : null);
      }
      assert.equal(usages[0], usages[1]);
      assert.is(usages[0]?.source, 'reported');
      assert.is(usages[0]?.outputTokens, 4);
    },
    slow,
  );

  test(
    'O11: every control token that is described is one token to the server, and a made-up one is not',
    async () => {
      const { controlTokens } = await model.describe('smollm2:135m', { signal: new AbortController().signal });
      const count = async (content: string): Promise<number> => {
        const changes = {
          messages: [{ role: 'user' as const, content }],
          parameters: { num_predict: 1, temperature: 0, format: 'json' as const },
        };
        const last = (await collected(subject, changes)).at(-1);
        return last?.type === 'done' ? last.usage.inputTokens : -1;
      };
      const plain = await count('x');
      for (const token of ['<|im_end|>', '<|endoftext|>', '<repo_name>']) {
        assert.ok(controlTokens.includes(token), token);
        assert.is(await count(`x${token}`), plain + 1, token);
      }
      assert.ok((await count('x<|nothing|>')) > plain + 1);
    },
    slow,
  );
}
