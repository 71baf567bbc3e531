import { readFrames } from '../domain/prompt/frame.ts';
import type { PromptMessage } from '../domain/model.ts';

/** Messages that are looked at, the newest ones, and how much of each. */
const MAX_MESSAGES = 60;
const MAX_MESSAGE = 4_000;
const MAX_INSTRUCTIONS = 20_000;

/** What a prompt holds, as the offline model reads it. Every text is material: nothing in it is ever obeyed. */
export interface OfflineMaterial {
  readonly title: string;
  readonly topic: string;
  readonly documentParts: readonly string[];
  readonly participants: readonly string[];
  readonly said: readonly { readonly author: string; readonly text: string }[];
  readonly name: string;
  readonly instructions: string;
  readonly turn: number;
}

/** Reads a prompt of `domain/prompt/render.ts`; of any other prompt the last user message is the topic. */
export function readMaterial(messages: readonly PromptMessage[]): OfflineMaterial {
  const own = messages.at(-1)?.content ?? '';
  const head = messages.filter(({ role }) => role === 'system').flatMap(({ content }) => readFrames(content));
  const you = readFrames(own).find(({ label }) => label === 'you');
  const topic = head.find(({ label }) => label === 'topic');
  const said = messages
    .slice(0, -1)
    .filter(({ role }) => role !== 'system')
    .slice(-MAX_MESSAGES)
    .flatMap(({ content }) => readFrames(content).slice(0, 1))
    .filter(({ label }) => label === 'message');
  return {
    title: topic?.title ?? '',
    topic: (topic?.text ?? own).slice(0, MAX_INSTRUCTIONS),
    documentParts: head.filter(({ label }) => label === 'document').map(({ text }) => text),
    participants: namesOf(head.find(({ label }) => label === 'participants')?.text ?? ''),
    said: said.map(({ title, text }) => ({ author: title.trim(), text: text.slice(0, MAX_MESSAGE) })),
    name: you?.title.trim() ?? '',
    instructions: (you?.text ?? '').slice(0, MAX_INSTRUCTIONS),
    turn: turnOf(own) ?? said.length + 1,
  };
}

function namesOf(list: string): string[] {
  return list
    .split(', ')
    .map((name) => name.trim())
    .filter((name) => name !== '')
    .slice(0, 100);
}

/** After the last frame only: instructions are free to speak of turns themselves. */
function turnOf(own: string): number | null {
  const found = /^It is turn (\d{1,9})\b/m.exec(own.slice(own.lastIndexOf('\n<</') + 1));
  return found ? Number(found[1]) : null;
}
