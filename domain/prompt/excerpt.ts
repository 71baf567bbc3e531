const WORD = /[\p{L}\p{N}]{4,}/gu;

/**
 * The parts of a document that fit: whole if it fits, else its beginning and the paragraphs that share most words with
 * the topic, in the document's order. The same for every turn, so that the prompt's shared head stays the same.
 * @param budget characters.
 * @returns [from, to) ranges, in order.
 */
export function excerpt(document: string, topic: string, budget: number): [number, number][] {
  if (budget <= 0 || document.length === 0) return [];
  if (document.length <= budget) return [[0, document.length]];
  const wanted = new Set(wordsOf(topic));
  const paragraphs = paragraphsOf(document);
  const scored = paragraphs.map(([from, to], i) => ({
    from,
    to,
    score: i === 0 ? Infinity : score(document.slice(from, to), wanted),
  }));
  const best = scored.sort((a, b) => b.score - a.score || a.from - b.from);
  const chosen: [number, number][] = [];
  let left = budget;
  for (const { from, to } of best) {
    if (left <= 0) break;
    const end = Math.min(to, from + left);
    if (end < to && chosen.length > 0) continue;
    chosen.push([from, boundary(document, end)]);
    left -= end - from;
  }
  return chosen.sort((a, b) => a[0] - b[0]);
}

function wordsOf(text: string): string[] {
  return (text.toLowerCase().match(WORD) ?? []).map((word) => word.slice(0, 6));
}

/** Shared words per hundred words, so that long paragraphs do not win by length alone. */
function score(paragraph: string, wanted: ReadonlySet<string>): number {
  const words = wordsOf(paragraph);
  const shared = new Set(words.filter((word) => wanted.has(word))).size;
  return shared / Math.sqrt(words.length + 25);
}

function paragraphsOf(text: string): [number, number][] {
  const ranges: [number, number][] = [];
  let from = 0;
  for (const gap of text.matchAll(/\n[ \t\r\f]*\n\s*/g)) {
    if (gap.index - from < 80) continue;
    ranges.push([from, gap.index]);
    from = gap.index + gap[0].length;
  }
  if (from < text.length) ranges.push([from, text.length]);
  return ranges;
}

/** Never inside a surrogate pair. */
function boundary(text: string, at: number): number {
  const code = text.charCodeAt(at - 1);
  return code >= 0xd800 && code <= 0xdbff ? at - 1 : at;
}
