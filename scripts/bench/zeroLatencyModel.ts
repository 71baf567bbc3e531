import { readFileSync } from 'node:fs';
import type { LanguageModel } from '../../domain/ports.ts';
import type { Settings } from '../../infra/config.ts';
import { openModels, type Models } from '../models.ts';

/** Models whose `offline` provider answers at once, with as many characters as are asked for; no two answers begin alike. */
export function zeroLatencyModels(settings: Settings, answerChars: number): Models {
  let answers = 0;
  const model: LanguageModel = {
    provider: 'offline',
    describe: async (name) => ({
      provider: 'offline',
      name,
      digest: null,
      contextTokens: 4096,
      defaultContextTokens: 4096,
      controlTokens: ['<|im_start|>', '<|im_end|>'],
    }),
    async *generate({ messages }) {
      answers += 1;
      yield { type: 'text', text: prose(answers, answerChars) };
      const usage = { inputTokens: messages.length * 50, outputTokens: answerChars >> 2, source: 'reported' as const };
      yield { type: 'done', finishReason: 'end_turn', usage };
    },
  };
  return { ...openModels(settings), providers: new Map([['offline', model]]) };
}

/** Real prose: what is stored is compressed, and made-up words would be compressed more or less than what people write. */
const text = readFileSync(new URL('../../LICENSE', import.meta.url), 'utf8').replaceAll(/\s+/g, ' ');

/** So many characters of prose (at most a few thousand); other seeds give other passages. */
export function prose(seed: number, chars: number): string {
  const from = (seed * 977) % (text.length - chars);
  return `${seed} ${text.slice(from, from + chars)}`.slice(0, chars);
}
