import { z } from 'zod';
import { personal, plainText } from './text.ts';

/** Longest text of one part, in UTF-16 units. */
export const MAX_TEXT = 100_000;

export const partSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text'), text: personal(plainText(MAX_TEXT).min(1)) }),
]);
export type Part = z.infer<typeof partSchema>;

/** What is said: a list of typed parts, in events, in a model's output and in the renderer. */
export const contentSchema = z.array(partSchema).min(1).max(20);
export type Content = z.infer<typeof contentSchema>;

/** The text parts, joined. */
export function textOf(content: readonly Part[]): string {
  return content.map((part) => part.text).join('\n');
}

/** A text as content of one part. */
export function textContent(text: string): Content {
  return [{ type: 'text', text }];
}

/** A guess where no tokenizer is at hand: four characters a token. */
export function estimateTokens(text: string): number {
  return Math.ceil(text.length / 4);
}
