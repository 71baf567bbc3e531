import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import {
  ModelFailure,
  type GenerateRequest,
  type ModelDescription,
  type ModelEvent,
  type PromptMessage,
} from '../domain/model.ts';
import type { Clock, LanguageModel } from '../domain/ports.ts';
import { createOfflineIndex } from './offlineIndex.ts';
import { readMaterial, type OfflineMaterial } from './offlineMaterial.ts';
import { shapedAnswer } from './offlineShape.ts';
import { nextSpeaker } from './offlineSlots.ts';
import { countTokens, tokensOf } from './offlineTokens.ts';
import { composeTurn } from './offlineTurn.ts';
import { hashOf } from './offlineWords.ts';

/** Counts up whenever the same request would give another text. */
const DIGEST = 'offline-1';
const CONTEXT_TOKENS = 131_072;
/** A document of some 20 pages is then shown whole. */
const DEFAULT_CONTEXT_TOKENS = 16_384;
const DEFAULT_TOKENS_PER_SECOND = 250;
/** A turn at the default pace takes no longer: this model is for looking around, not for waiting. */
const DEFAULT_TURN_MS = 900;

/**
 * The built-in model for those who have no other: no weights, no network, always the same answer to the same request.
 * It composes turns from its own phrases and short quotes of what the prompt shows. It reads `seed`, `num_ctx`,
 * `num_predict`, `stop` and `format`; sampling parameters change nothing.
 * @param options.tokensPerSecond pace of the stream; 250 and at most about a second a turn when left out, `Infinity` for none.
 */
export function createOfflineModel(options: { clock: Clock; tokensPerSecond?: number }): LanguageModel {
  const { clock, tokensPerSecond } = options;
  const indexOf = createOfflineIndex();
  const counts = new LRUCache<string, number>({ max: 64 });
  const countOf = (content: string): number => {
    const key = createHash('sha256').update(content).digest('base64');
    const count = counts.get(key) ?? countTokens(content);
    counts.set(key, count);
    return count;
  };
  return {
    provider: 'offline',
    describe: async (name, { signal }) => {
      assertNotCancelled(signal);
      return descriptionOf(name);
    },
    async *generate(request, { signal }) {
      const startedAt = clock.monotonic();
      assertNotCancelled(signal);
      const most = descriptionOf(request.model).contextTokens;
      const contextTokens = Math.min(request.parameters.num_ctx ?? most, most);
      const inputTokens = request.messages.reduce((sum, { content }) => sum + countOf(content), 0);
      if (inputTokens > contextTokens)
        throw new ModelFailure(
          'error',
          `the prompt has ${inputTokens} tokens, the offline model reads ${contextTokens}`,
          {
            promptTooLong: true,
            usage: { inputTokens, outputTokens: 0, source: 'reported' },
          },
        );
      const answer = limited(answerTo(request, indexOf), request);
      const pace =
        tokensPerSecond ?? Math.max(DEFAULT_TOKENS_PER_SECOND, (answer.tokens.length / DEFAULT_TURN_MS) * 1000);
      for (const [i, text] of answer.tokens.entries()) {
        await waitFor(i, { clock, startedAt, pace, request, inputTokens, signal });
        yield { type: 'text', text } satisfies ModelEvent;
      }
      assertNotCancelled(signal);
      const outputTokens = answer.tokens.length;
      const usage = { inputTokens, outputTokens, source: 'reported' } as const;
      yield { type: 'done', finishReason: answer.finishReason, usage };
    },
  };
}

function descriptionOf(name: string): ModelDescription {
  if (name !== 'offline')
    throw new ModelFailure('error', 'the offline provider has one model, named offline', { retryable: false });
  return {
    provider: 'offline',
    name,
    digest: DIGEST,
    contextTokens: CONTEXT_TOKENS,
    defaultContextTokens: DEFAULT_CONTEXT_TOKENS,
    controlTokens: [],
  };
}

function assertNotCancelled(signal: AbortSignal): void {
  if (signal.aborted) throw new ModelFailure('cancelled', 'the request was cancelled', { retryable: false });
}

function answerTo(request: GenerateRequest, indexOf: ReturnType<typeof createOfflineIndex>): string {
  const { seed = 0, format } = request.parameters;
  const material = readMaterial(request.messages);
  const promptHash = hashOfMessages(request.messages);
  const text = composeTurn(material, indexOf(material.documentParts), seed, promptHash);
  if (format === undefined) return text;
  if (format === 'json') return JSON.stringify({ answer: text });
  const choose = (allowed: readonly unknown[]) => chosenFor(material, allowed, hashOf(`${seed} ${promptHash}`));
  return JSON.stringify(shapedAnswer(format, { text, choose }));
}

function hashOfMessages(messages: readonly PromptMessage[]): string {
  const hash = createHash('sha256');
  for (const { role, content } of messages) hash.update(`${role} ${content.length} `).update(content);
  return hash.digest('hex');
}

/** Among names, who has been silent longest: a model that always named the first would let nobody else speak. */
function chosenFor(material: OfflineMaterial, allowed: readonly unknown[], variant: number): unknown {
  const quiet = nextSpeaker({
    ...material,
    participants: material.participants.filter((who) => allowed.includes(who)),
  });
  return quiet ?? allowed[variant % Math.max(1, allowed.length)];
}

interface Answer {
  readonly tokens: readonly string[];
  readonly finishReason: 'end_turn' | 'max_tokens' | 'stop_phrase';
}

/** Cuts before the first stop phrase, and after `num_predict` tokens. */
function limited(text: string, { parameters: { stop = [], num_predict: most = Infinity } }: GenerateRequest): Answer {
  const at = Math.min(...stop.map((phrase) => text.indexOf(phrase)).filter((index) => index >= 0), text.length);
  const tokens = tokensOf(text.slice(0, at));
  if (tokens.length > most) return { tokens: tokens.slice(0, most), finishReason: 'max_tokens' };
  return { tokens, finishReason: at < text.length ? 'stop_phrase' : 'end_turn' };
}

interface Pacing {
  readonly clock: Clock;
  readonly startedAt: number;
  /** Tokens per second. */
  readonly pace: number;
  readonly request: GenerateRequest;
  readonly inputTokens: number;
  readonly signal: AbortSignal;
}

/**
 * Waits until the token is due by the plan from the start, so that late timers do not add up.
 * @throws ModelFailure `cancelled`, or `time_out` as soon as a deadline of the request is reached.
 */
async function waitFor(token: number, { clock, startedAt, pace, request, inputTokens, signal }: Pacing): Promise<void> {
  const { firstByteMs, chunkMs, totalMs } = request.deadlines;
  const now = clock.monotonic();
  const wait = Math.max(0, startedAt + (token * 1000) / pace - now);
  const left = Math.min(startedAt + totalMs - now, token === 0 ? startedAt + firstByteMs - now : chunkMs);
  if (wait >= 1) await clock.sleep(Math.max(0, Math.min(wait, left)), signal);
  assertNotCancelled(signal);
  if (wait > left || left <= 0)
    throw new ModelFailure('time_out', 'the deadline of the request was reached', {
      usage: { inputTokens, outputTokens: token, source: 'reported' },
    });
}
