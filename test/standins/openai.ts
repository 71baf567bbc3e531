/** OpenAI's Chat Completions, streamed, as a stand-in speaks them: chunks in the shape recorded from a real server. */
import { z } from 'zod';
import { createOpenAiModel } from '../../infra/openai.ts';
import { type ModelServer, type SpokenProtocol, startModelServer } from './modelServer.ts';
import type { ProviderUnderTest } from './modelServerFixture.ts';
import { filledIn, recordedCases } from './ollamaRecordings.ts';

const RECORDED = 'openai: chat streamed, with usage';
const chunksSchema = z.object({ result: z.array(z.record(z.string(), z.unknown())).length(3) });

const FINISH_REASONS = {
  'by itself': 'stop',
  'at the limit': 'length',
  refused: 'content_filter',
  'with a tool': 'tool_calls',
} as const;

/** The parts of a recorded stream: a text, the end, the usage. */
function recordedChunks(): Record<string, unknown>[] {
  const found = recordedCases('ollama-sdks').find(({ name }) => name === RECORDED);
  return chunksSchema
    .parse(found?.got)
    .result.map(({ times: _times, ...chunk }) => ({ ...chunk, id: 'chatcmpl-1', created: 1_790_000_000 }));
}

const [textChunk = {}, lastChunk = {}, usageChunk = {}] = recordedChunks();
const event = (json: string): string => `data: ${json}\n\n`;
const error: SpokenProtocol['error'] = (type, message, more = {}) => ({
  error: { message, type, param: null, code: null, ...more },
});

/** What is sent after the texts: the reason, the usage, the mark of the end. */
export const openAiProtocol: SpokenProtocol = {
  chatPath: '/v1/chat/completions',
  stream({ texts, ends, promptTokens }) {
    const usage = {
      prompt_tokens: promptTokens,
      completion_tokens: texts.length,
      total_tokens: promptTokens + texts.length,
    };
    const last = { index: 0, delta: { role: 'assistant', content: '' }, finish_reason: FINISH_REASONS[ends] };
    return {
      begin: [],
      texts: texts.map((text) => event(JSON.stringify(filledIn(textChunk, { text })))),
      end: [
        event(JSON.stringify({ ...lastChunk, choices: [last] })),
        event(JSON.stringify({ ...usageChunk, usage })),
        event('[DONE]'),
      ],
    };
  },
  event,
  errorEvent: (type, message) => event(JSON.stringify(error(type, message))),
  error,
};

/** For the tests that both providers pass. */
export const openAiUnderTest: ProviderUnderTest = {
  name: 'OpenAI',
  start: () => startOpenAiStandin(),
  create: createOpenAiModel,
  base: '/v1',
};

/** A server at `url`; the protocol begins at `url`/v1. */
export async function startOpenAiStandin(): Promise<ModelServer> {
  return await startModelServer(openAiProtocol);
}
