/** Anthropic's Messages, streamed, as a stand-in speaks them: events in the shape recorded from a real server. */
import { z } from 'zod';
import { createAnthropicModel } from '../../infra/anthropic.ts';
import { type ModelServer, type SpokenProtocol, startModelServer } from './modelServer.ts';
import type { ProviderUnderTest } from './modelServerFixture.ts';
import { filledIn, recordedCases } from './ollamaRecordings.ts';

const RECORDED = 'anthropic: messages, streamed';
const eventsSchema = z.object({
  result: z.array(z.looseObject({ type: z.string(), message: z.record(z.string(), z.unknown()).optional() })),
});

const STOP_REASONS = {
  'by itself': 'end_turn',
  'at the limit': 'max_tokens',
  refused: 'refusal',
  'with a tool': 'tool_use',
} as const;

const recorded = eventsSchema
  .parse(recordedCases('ollama-sdks').find(({ name }) => name === RECORDED)?.got)
  .result.map(({ times: _times, ...one }) => one);

function recordedEvent(type: string): Record<string, unknown> {
  const found = recorded.find((one) => one.type === type);
  if (!found) throw new Error(`${RECORDED} holds no ${type}`);
  return found;
}

const named = (one: Record<string, unknown>): string =>
  `event: ${String(one['type'])}\ndata: ${JSON.stringify(one)}\n\n`;
const error: SpokenProtocol['error'] = (type, message, more = {}) => ({
  type: 'error',
  error: { type, message, ...more },
  request_id: 'req_1',
});

/** The usage of the beginning is a guess, that of the end counts. */
export const anthropicProtocol: SpokenProtocol = {
  chatPath: '/v1/messages',
  stream({ texts, ends, promptTokens }) {
    const usage = { input_tokens: promptTokens, output_tokens: texts.length };
    return {
      begin: [named(recordedEvent('message_start')), named(recordedEvent('content_block_start'))],
      texts: texts.map((text) =>
        named(filledIn(recordedEvent('content_block_delta'), { text }) as Record<string, unknown>),
      ),
      end: [
        named(recordedEvent('content_block_stop')),
        named({ ...recordedEvent('message_delta'), delta: { stop_reason: STOP_REASONS[ends] }, usage }),
        named(recordedEvent('message_stop')),
      ],
    };
  },
  event: (json) => `event: content_block_delta\ndata: ${json}\n\n`,
  errorEvent: (type, message) => named(error(type, message)),
  error,
};

/** For the tests that both providers pass. */
export const anthropicUnderTest: ProviderUnderTest = {
  name: 'Anthropic',
  start: () => startAnthropicStandin(),
  create: createAnthropicModel,
  base: '',
};

/** A server at `url`, where the protocol begins too. */
export async function startAnthropicStandin(): Promise<ModelServer> {
  return await startModelServer(anthropicProtocol);
}
