/** What the SDKs of OpenAI and Anthropic were recorded to give on a real Ollama, and what our adapters make of the same. */
import type { ServerResponse } from 'node:http';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { ModelFailure } from '../../domain/model.ts';
import { createAnthropicModel } from '../../infra/anthropic.ts';
import { createOpenAiModel } from '../../infra/openai.ts';
import { ask, failureOf, type LanguageModelSubject } from '../contracts/languageModelCalls.ts';
import { suite, type Suite } from '../harness.ts';
import { ollamaForTests } from '../services.ts';
import { anthropicProtocol, anthropicUnderTest } from '../standins/anthropic.ts';
import { sendJson } from '../standins/modelServer.ts';
import { type ModelServerFixture, modelServerFixture } from '../standins/modelServerFixture.ts';
import { filledIn, recordedCases } from '../standins/ollamaRecordings.ts';
import { openAiProtocol, openAiUnderTest } from '../standins/openai.ts';
import { wallClock } from '../standins/wallClock.ts';

const REAL_MODEL = 'smollm2:135m';
const slow = { deadlineMs: 200_000 };

/** The rows that are one streamed chat, or the refusal of one, with what must become of each. */
const EXPECTED: Readonly<Record<string, string>> = {
  'openai: chat streamed, with usage': 'texttexttexttext|max_tokens|12/4',
  'openai: missing model, streamed': '!error',
  'openai: temperature "x"': '!error',
  'openai: no messages': '!error',
  'openai: the repetition cut, streamed': '!invalid_output retry estimated',
  'anthropic: messages, streamed': 'texttexttexttext|max_tokens|12/4',
  'anthropic: missing model, streamed': '!error',
  'anthropic: max_tokens 0': '!error',
  'anthropic: no messages': '!error',
  'anthropic: the repetition cut, streamed': '!invalid_output retry estimated',
};

const refusedSchema = z.object({ error: z.object({ status: z.number(), error: z.record(z.string(), z.unknown()) }) });
const streamedSchema = z.object({ result: z.array(z.looseObject({ times: z.number().optional() })) });

/** What the adapter makes of it, in one line: `text|reason|input/output`, or `!reason …`. */
async function outcome(subject: LanguageModelSubject): Promise<string> {
  let text = '';
  try {
    for await (const event of ask(subject, { parameters: { temperature: 0, num_predict: 4 } })) {
      if (event.type === 'text') text += event.text;
      else return `${text}|${event.finishReason}|${event.usage.inputTokens}/${event.usage.outputTokens}`;
    }
  } catch (error) {
    if (!(error instanceof ModelFailure)) throw error;
    return ['!' + error.reason, error.retryable && 'retry', error.usage?.source].filter(Boolean).join(' ');
  }
  throw new Error('neither done nor a failure');
}

/** The answer on the wire behind a row: an error as it stood in the body, events once more, or the cut of a loop. */
function play(name: string, got: unknown): (response: ServerResponse) => void {
  const openai = name.startsWith('openai');
  const refused = refusedSchema.safeParse(got);
  if (refused.success) {
    const { status, error } = refused.data.error;
    return (response) => sendJson(response, status, openai ? { error } : error);
  }
  const streamed = streamedSchema.safeParse(got);
  const cut = (openai ? openAiProtocol : anthropicProtocol).stream({
    texts: Array.from({ length: 31 }, () => ' same'),
    ends: 'by itself',
    promptTokens: 12,
  });
  const events = streamed.success
    ? streamed.data.result.flatMap(({ times = 1, ...event }) => Array.from({ length: times }, () => eventOf(event)))
    : [...cut.begin, ...cut.texts];
  return (response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).end(events.join(''));
}

function eventOf(event: Record<string, unknown>): string {
  const named = typeof event['type'] === 'string' ? `event: ${event['type']}\n` : '';
  return `${named}data: ${JSON.stringify(filledIn(event))}\n\n`;
}

function replayed(test: Suite, own: ModelServerFixture, provider: string, path: string): void {
  const rows = recordedCases('ollama-sdks').filter(({ name }) => name.startsWith(`${provider}:`));
  const wanted = Object.keys(EXPECTED).filter((name) => name.startsWith(`${provider}:`));
  for (const name of wanted)
    test(`replayed: ${name}`, async () => {
      const row = rows.find((one) => one.name === name);
      assert.ok(row, 'recorded');
      own.standin.answerNext(path, play(name, row?.got));
      assert.is(await outcome(own.subject), EXPECTED[name]);
    });
  const others = rows.map(({ name }) => name).filter((name) => !wanted.includes(name));
  console.log(
    `left out of the replayed vectors of ${provider}: not one streamed chat, or a trap with its own test: ${others.join(' · ')}`,
  );
}

const openai = suite('OpenAI vectors');
replayed(openai, modelServerFixture(openai, openAiUnderTest), 'openai', '/v1/chat/completions');
openai.run();
const anthropic = suite('Anthropic vectors');
replayed(anthropic, modelServerFixture(anthropic, anthropicUnderTest), 'anthropic', '/v1/messages');
anthropic.run();

const real = await ollamaForTests();
if (real === null) console.log('left out: the SDKs beside our adapters on a real Ollama: TEST_OLLAMA_URL is not set');
else besideTheSdks(real.url, real.description);

/** As the contract asks, see `ask`. */
const system = 'You answer in one short sentence.';
const user = { role: 'user' as const, content: 'Say hello.' };

function besideTheSdks(url: string, description: string): void {
  const test = suite(`the SDKs beside our adapters: ${description}`);
  const plain = { clock: wallClock, contextTokens: 4_096 };
  const subject = (model: LanguageModelSubject['model'], modelName = REAL_MODEL): LanguageModelSubject => ({
    model,
    modelName,
    patienceMs: 110_000,
    stop: () => undefined,
  });
  const ours = {
    openai: createOpenAiModel({ ...plain, baseUrl: `${url}/v1` }),
    anthropic: createAnthropicModel({ ...plain, baseUrl: url }),
  };
  const theirs = {
    openai: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 }),
    anthropic: new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 0 }),
  };

  test(
    'OpenAI: the same text, reason and usage as the SDK gives unstreamed',
    async () => {
      const { choices, usage } = await theirs.openai.chat.completions.create({
        model: REAL_MODEL,
        messages: [{ role: 'system', content: system }, user],
        temperature: 0,
        max_tokens: 4,
      });
      assert.is(choices[0]?.finish_reason, 'length');
      const expected = `${choices[0]?.message.content}|max_tokens|${usage?.prompt_tokens}/${usage?.completion_tokens}`;
      assert.is(await outcome(subject(ours.openai)), expected);
    },
    slow,
  );

  test(
    'Anthropic: the same text, reason and usage as the SDK gives unstreamed',
    async () => {
      // The SDK's types know no temperature any more, this server does.
      const request = { model: REAL_MODEL, system, messages: [user], temperature: 0, max_tokens: 4 };
      const { content, stop_reason, usage } = await theirs.anthropic.messages.create(request);
      const text = content.map((block) => (block.type === 'text' ? block.text : '')).join('');
      const expected = `${text}|${stop_reason}|${usage.input_tokens}/${usage.output_tokens}`;
      assert.is(await outcome(subject(ours.anthropic)), expected);
    },
    slow,
  );

  test(
    'O22: a signal that aborts in mid-stream ends the loop of the SDK without an error, and ours as cancelled',
    async () => {
      const stop = new AbortController();
      const chunks = await theirs.openai.chat.completions.create(
        { model: REAL_MODEL, messages: [user], stream: true, max_tokens: 200 },
        { signal: stop.signal },
      );
      let reason: unknown = null;
      for await (const { choices } of chunks) {
        reason = choices[0]?.finish_reason ?? reason;
        stop.abort();
      }
      assert.is(reason, null, 'the loop ended by itself, before any finish reason');
      for (const model of [ours.openai, ours.anthropic]) {
        const own = new AbortController();
        const failure = await failureOf(subject(model), {}, own.signal, () => own.abort());
        assert.is(failure.reason, 'cancelled');
      }
    },
    slow,
  );

  test(
    'a model that is missing is missing to both',
    async () => {
      const failed = await theirs.openai.models.retrieve('rec-none').then(
        () => null,
        (error: unknown) => error,
      );
      assert.instance(failed, OpenAI.NotFoundError);
      for (const model of [ours.openai, ours.anthropic]) {
        const failure = await failureOf(subject(model, 'rec-none'), {});
        assert.match(failure.message, /does not have the model/);
      }
    },
    slow,
  );

  test.run();
}
