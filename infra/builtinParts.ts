/**
 * How a text of any length becomes one vector of the built-in model, which reads 128 tokens and passes over the rest without
 * a word (seen: a change of the 129th changes nothing).
 */

/** Belongs to the model: another way of cutting gives other vectors. */
export const PARTS_VERSION = 'p1';
export const MOST_TOKENS = 128;

/** The model knows no white space but single blanks. */
export function oneLine(text: string): string {
  return text.replace(/\s+/gu, ' ').trim();
}

/** The text in parts of at most `MOST_TOKENS` each, halved where two words meet, so that all are of about one length. */
export function partsOf(text: string, tokensIn: (part: string) => number): string[] {
  if (tokensIn(text) <= MOST_TOKENS) return [text];
  const cut = middleOf(text);
  return [text.slice(0, cut), text.slice(cut)]
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .flatMap((part) => partsOf(part, tokensIn));
}

/** The blank next to the middle; in a very long word the middle itself, never inside a surrogate pair. */
function middleOf(text: string): number {
  const middle = text.length >> 1;
  for (let off = 0; off < middle / 2; off++)
    for (const at of [middle - off, middle + off]) if (text[at] === ' ') return at;
  const unit = text.charCodeAt(middle);
  return unit >= 0xdc00 && unit <= 0xdfff ? middle + 1 : middle;
}

/** The mean of the parts' vectors, each counted as often as its part has tokens. */
export function weightedMean(vectors: readonly (readonly number[])[], weights: readonly number[]): number[] {
  const [first = []] = vectors;
  return first.map((_, at) =>
    vectors.reduce((sum, vector, part) => sum + (vector[at] ?? Number.NaN) * (weights[part] ?? 0), 0),
  );
}
