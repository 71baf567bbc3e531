/** A text that was found, and where the words of the query stand in it: UTF-16 units, end exclusive, in order. */
export interface Snippet {
  readonly text: string;
  readonly highlights: readonly (readonly [number, number])[];
}

/** How much of it stands before the first highlight. */
const BEFORE = 0.25;

/** The part of a snippet around its first highlight, at most `length` units and two `…`; no character is cut in two. */
export function shorten({ text, highlights }: Snippet, length: number): Snippet {
  if (text.length <= length) return { text, highlights };
  const first = highlights[0]?.[0] ?? 0;
  const earliest = Math.max(0, Math.min(first - Math.floor(length * BEFORE), text.length - length));
  const starts = earliest > 0 && isInside(text, earliest) ? earliest + 1 : earliest;
  const latest = Math.min(text.length, earliest + length);
  const ends = isInside(text, latest) ? latest - 1 : latest;
  const before = starts > 0 ? '…' : '';
  const moved = before.length - starts;
  return {
    text: `${before}${text.slice(starts, ends)}${ends < text.length ? '…' : ''}`,
    highlights: highlights
      .filter(([from, to]) => from >= starts && to <= ends)
      .map(([from, to]) => [from + moved, to + moved] as const),
  };
}

/** Whether a cut there would part a surrogate pair. */
function isInside(text: string, at: number): boolean {
  return /^[\udc00-\udfff]/.test(text.slice(at, at + 1)) && /^[\ud800-\udbff]/.test(text.slice(at - 1, at));
}
