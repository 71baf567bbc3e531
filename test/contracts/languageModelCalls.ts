/** How the LanguageModel contract asks its subject, and what it expects of every failure. */
import * as assert from 'uvu/assert';
import { type GenerateRequest, type ModelEvent, ModelFailure, stopReasons } from '../../domain/model.ts';
import type { LanguageModel } from '../../domain/ports.ts';
import type { ContractFault } from './languageModelFaults.ts';

/** What an adapter is asked with. An absent part needs its case left out by `Without`. */
export interface LanguageModelSubject {
  readonly model: LanguageModel;
  /** A model that can chat. */
  readonly modelName: string;
  /** Longest that the first byte of a short answer may take here, milliseconds. */
  readonly patienceMs: number;
  /** A name that the provider does not have. */
  readonly unknownName?: string;
  /** A context that can be overrun, in tokens. */
  readonly smallContext?: number;
  /** Answers that the provider itself is writing now. */
  readonly working?: () => number | Promise<number>;
  /** Calls that reached the provider so far. */
  readonly asked?: () => number;
  /** Makes the provider misbehave until `restore`. */
  readonly faults?: { set(fault: ContractFault): void; restore(): void };
  stop(): Promise<void> | void;
}

/** The subject, once it is made. */
export type Given = () => LanguageModelSubject;
/** Cases that a subject cannot be asked for, each with the reason, which the run prints. */
export type Without = Partial<Record<'seeds' | 'unknownNames' | 'contextLimit' | 'counting' | 'faults', string>>;

const short: GenerateRequest['messages'] = [
  { role: 'system', content: 'You answer in one short sentence.' },
  { role: 'user', content: 'Say hello.' },
];
export const long: Partial<GenerateRequest> = {
  messages: [{ role: 'user', content: 'Tell a long story about a river and the sea.' }],
  parameters: { num_predict: 400, seed: 3 },
};

/** A short question, with `changes`. Deadlines are as patient as the subject needs. */
export function ask(
  subject: LanguageModelSubject,
  changes: Partial<GenerateRequest>,
  signal = forever(),
): AsyncIterable<ModelEvent> {
  const { modelName, patienceMs } = subject;
  const given: GenerateRequest = {
    model: modelName,
    messages: short,
    parameters: { temperature: 0, num_predict: 16 },
    deadlines: { firstByteMs: patienceMs, chunkMs: patienceMs, totalMs: patienceMs * 3 },
  };
  return subject.model.generate({ ...given, ...changes }, { signal });
}

/** All events of an answer. */
export async function collected(
  subject: LanguageModelSubject,
  changes: Partial<GenerateRequest>,
): Promise<ModelEvent[]> {
  const events: ModelEvent[] = [];
  for await (const event of ask(subject, changes)) events.push(event);
  return events;
}

/** The failure of a call that must not succeed; `onText` is called at each text. */
export async function failureOf(
  subject: LanguageModelSubject,
  changes: Partial<GenerateRequest>,
  signal = forever(),
  onText = (): void => undefined,
) {
  try {
    for await (const event of ask(subject, changes, signal)) {
      if (event.type === 'done') throw new Error('an answer was taken for whole');
      onText();
    }
  } catch (error) {
    return asFailure(error);
  }
  throw new Error('the loop ended without done and without a failure');
}

/** Passes a `ModelFailure` with a reason of the list, and throws anything else on. */
export function asFailure(error: unknown): ModelFailure {
  if (!(error instanceof ModelFailure)) throw error;
  assert.ok((stopReasons as readonly string[]).includes(error.reason));
  return error;
}

/** Waits until the provider works no more on what was ended; nothing to see where it cannot be asked. */
export async function settles({ working }: LanguageModelSubject): Promise<void> {
  if (!working) return;
  for (let i = 0; i < 100 && (await working()) > 0; i++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.is(await working(), 0, 'the provider works on');
}

/** The texts of an answer, joined. */
export function textOf(events: readonly ModelEvent[]): string {
  return events.map((event) => (event.type === 'text' ? event.text : '')).join('');
}

/** A signal that never aborts. */
export function forever(): AbortSignal {
  return new AbortController().signal;
}
