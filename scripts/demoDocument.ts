import { readFile } from 'node:fs/promises';
import { Refusal } from '../domain/refusal.ts';

/** Longest document a discussion takes, in UTF-16 units. */
const MAX_DOCUMENT = 200_000;

/**
 * A text file for a discussion.
 * @returns its text, and a note when only its beginning is taken.
 * @throws Refusal `not-found` when it cannot be read, `invalid` when it is not UTF-8 text.
 */
export async function readDocument(path: string): Promise<{ text: string; note: string | null }> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new Refusal('not-found', `${path} cannot be read (${error.code ?? error.message})`);
  });
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Refusal('invalid', `${path} is not a text file: its bytes are not UTF-8`);
  }
  if (text.includes('\u0000')) throw new Refusal('invalid', `${path} is not a text file: it holds NUL characters`);
  if (text.trim() === '') throw new Refusal('invalid', `${path} is empty`);
  if (text.length <= MAX_DOCUMENT) return { text, note: null };
  const cut = text.slice(0, MAX_DOCUMENT).toWellFormed();
  return {
    text: cut,
    note: `${path} has ${text.length.toLocaleString('en')} characters: the first ${MAX_DOCUMENT.toLocaleString('en')} are given to the discussion`,
  };
}
