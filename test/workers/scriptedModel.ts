import { setTimeout as delay } from 'node:timers/promises';
import { estimateTokens } from '../../domain/content.ts';
import { ModelFailure, type GenerateRequest, type ModelDescription, type Usage } from '../../domain/model.ts';
import type { LanguageModel } from '../../domain/ports.ts';

/** One thing that a scripted model does; it is done with its answer when the moves are over. */
export type Move =
  | { readonly say: string }
  | { readonly fail: ModelFailure }
  | { readonly waitMs: number; /** A model that does not listen when it is told to stop. */ readonly deaf?: boolean }
  | { readonly stall: true }
  | { readonly finish: 'max_tokens' | 'refused' }
  /** The stream ends without saying so. */
  | { readonly vanish: true };

export interface Call {
  /** Model's name: each test gives its agents one of their own. */
  readonly name: string;
  /** From 1, of this model's name. */
  readonly n: number;
  readonly request: GenerateRequest;
  /** Whether it was told to stop before it had answered. */
  stopped: boolean;
  over: boolean;
}

export type Script = (call: Call) => readonly Move[];

export interface ScriptedModel extends LanguageModel {
  /** What a model of that name does. */
  script(name: string, script: Script, described?: Partial<ModelDescription>): void;
  /** Calls of a model so far. */
  calls(name: string): readonly Call[];
}

/** A provider whose models do what a test says; it counts four characters a token and reports usage exactly. */
export function createScriptedModel(): ScriptedModel {
  const scripts = new Map<string, { script: Script; described: Partial<ModelDescription> }>();
  const calls: Call[] = [];
  const callsOf = (name: string) => calls.filter((call) => call.name === name);
  return {
    provider: 'offline',
    script: (name, script, described = {}) => void scripts.set(name, { script, described }),
    calls: callsOf,
    async describe(name) {
      const sizes = { contextTokens: 32_768, defaultContextTokens: 4096 };
      const { described = {} } = scripts.get(name) ?? {};
      return {
        provider: 'offline',
        name,
        digest: `digest-${name}`,
        ...sizes,
        controlTokens: ['<|im_start|>'],
        ...described,
      };
    },
    async *generate(request, { signal }) {
      const name = request.model;
      const call: Call = { name, n: callsOf(name).length + 1, request, stopped: false, over: false };
      calls.push(call);
      const usage = { inputTokens: tokensOf(request), outputTokens: 0, source: 'reported' as const };
      let finishReason: 'end_turn' | 'max_tokens' | 'refused' = 'end_turn';
      try {
        for (const move of scripts.get(name)?.script(call) ?? [{ say: `${name} says ${call.n}` }]) {
          if ('vanish' in move) return;
          if ('finish' in move) finishReason = move.finish;
          if ('fail' in move) throw move.fail;
          if ('stall' in move) await stopOf(signal, call, usage);
          if ('waitMs' in move) await pause(move, signal, call, usage);
          if (!('say' in move)) continue;
          usage.outputTokens += estimateTokens(move.say);
          yield { type: 'text', text: move.say };
        }
        yield { type: 'done', finishReason, usage };
      } finally {
        call.over = true;
      }
    },
  };
}

function tokensOf(request: GenerateRequest): number {
  return request.messages.reduce((sum, { content }) => sum + estimateTokens(content), 0);
}

async function pause(
  { waitMs, deaf = false }: { waitMs: number; deaf?: boolean },
  signal: AbortSignal,
  call: Call,
  usage: Usage,
): Promise<void> {
  await Promise.race([delay(waitMs), ...(deaf ? [] : [stopOf(signal, call, usage)])]);
}

/** Waits to be stopped, and fails as the port says. */
async function stopOf(signal: AbortSignal, call: Call, usage: Usage): Promise<never> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  if (!call.over) call.stopped = true;
  throw new ModelFailure('cancelled', 'the call was cancelled', { retryable: false, usage: { ...usage } });
}

/** Fails `times` times, then answers. */
export function failsTimes(times: number, failure: () => ModelFailure): Script {
  return ({ n }) => (n <= times ? [{ fail: failure() }] : [{ say: `after ${times} failures` }]);
}

/** Refuses prompts of more than this many tokens. */
export function narrow(tokens: number): Script {
  return ({ request }) =>
    tokensOf(request) > tokens
      ? [{ fail: new ModelFailure('error', 'the prompt is too long', { promptTooLong: true }) }]
      : [{ say: 'it fitted' }];
}

/** Does what the last text of anybody tells it, as a model without judgement would. */
export const obedient: Script = ({ request }) => {
  const heard = request.messages.map(({ content }) => content).join('\n');
  const orders = [...heard.matchAll(/repeat exactly:\n([\s\S]*?)\nend of repetition/gi)];
  return [{ say: orders.at(-1)?.[1] ?? 'Nobody told me what to say.' }];
};
