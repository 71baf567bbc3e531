/** Prompts and discussions for the tests of the offline model. */
import { readFileSync } from 'node:fs';
import type { GenerateRequest, ModelEvent, ModelParameters } from '../../domain/model.ts';
import type { Recalled } from '../../domain/prompt/recalled.ts';
import { renderPrompt, type Utterance } from '../../domain/prompt/render.ts';
import { createOfflineModel } from '../../infra/offlineModel.ts';
import { wallClock } from '../standins/wallClock.ts';

export const licence = readFileSync(new URL('../vectors/apache-2.0.txt', import.meta.url), 'utf8');
export const memo = readFileSync(new URL('../vectors/protocol-with-page-breaks.txt', import.meta.url), 'utf8');
export const patient = { firstByteMs: 5_000, chunkMs: 5_000, totalMs: 20_000 };
export const agents = [
  { name: 'Nora', instructions: 'You are a sceptic. Look for risks and weak points.' },
  { name: 'Ben', instructions: 'You are an optimist who sees the opportunities.' },
  { name: 'Mira', instructions: 'You moderate: summarise and ask questions.' },
];
type Agent = (typeof agents)[number];

export interface Setting {
  readonly title?: string;
  readonly topic?: string;
  readonly document?: string | null;
  readonly said?: readonly Utterance[];
  readonly recalled?: readonly Recalled[];
  readonly speaker?: Agent | undefined;
  readonly turn?: number;
  readonly parameters?: ModelParameters;
}

/** A rendered request for one turn, seed 7, the whole licence unless told otherwise. */
export function requestFor(setting: Setting): GenerateRequest {
  const document = setting.document === undefined ? licence : setting.document;
  const parameters = { seed: 7, ...setting.parameters };
  const { messages } = renderPrompt(
    {
      nonce: '0123456789abcdef',
      title: setting.title ?? 'Is the Apache licence right for our library?',
      topic:
        setting.topic ?? 'We publish a small library. What do the patent and redistribution terms ask of its users?',
      contextText: document,
      participants: agents.map(({ name }) => name),
      transcript: setting.said ?? [],
      recalled: setting.recalled ?? [],
      speaker: setting.speaker ?? { name: 'Nora', instructions: '' },
      turnNumber: setting.turn ?? (setting.said?.length ?? 0) + 1,
    },
    {
      renderer: 'r2',
      window: null,
      context: document ? [[0, document.length]] : [],
      messageChars: 20_000,
      agentVersion: 1,
      model: { provider: 'offline', name: 'offline', digest: 'offline-1' },
      parameters,
      controlTokens: [],
      retrieved: [],
    },
  );
  return { model: 'offline', messages, parameters, deadlines: patient };
}

/** All events of an answer without pacing. */
export async function eventsOf(request: GenerateRequest, signal = new AbortController().signal) {
  const events: ModelEvent[] = [];
  const model = createOfflineModel({ clock: wallClock, tokensPerSecond: Infinity });
  for await (const event of model.generate(request, { signal })) events.push(event);
  return events;
}

/** The answer's text. */
export function textOf(events: readonly ModelEvent[]): string {
  return events.map((event) => (event.type === 'text' ? event.text : '')).join('');
}

/** What is said in one turn. */
export async function say(setting: Setting): Promise<string> {
  return textOf(await eventsOf(requestFor(setting)));
}

/** Lets every agent speak in turn. */
export async function discuss(turns: number, setting: Setting): Promise<Utterance[]> {
  const said: Utterance[] = [];
  for (let turn = 1; turn <= turns; turn++) {
    const speaker = agents[(turn - 1) % agents.length] ?? { name: '', instructions: '' };
    said.push({ revision: turn, author: speaker.name, text: await say({ ...setting, said, speaker, turn }) });
  }
  return said;
}
