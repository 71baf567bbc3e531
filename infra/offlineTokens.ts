/** Words with the space before them, long ones in pieces, marks apart: what the offline model counts and streams. */
const TOKEN = /\s*[\p{L}\p{N}\p{M}'’]{1,8}|\s*[^\s\p{L}\p{N}\p{M}'’]{1,3}|\s+/gu;

/** The text in tokens; joined they give the text again. */
export function tokensOf(text: string): string[] {
  return text.match(TOKEN) ?? [];
}

/** How many tokens a text has, without holding them. */
export function countTokens(text: string): number {
  let count = 0;
  for (const _ of text.matchAll(TOKEN)) count += 1;
  return count;
}
