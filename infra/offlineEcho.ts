import { bareText, isUnspaced, stopWords, termOf, termsOf } from './offlineWords.ts';

const MOST_WORDS = 6;
/** Sentences that talk to a machine instead of about the topic: nothing of them is picked up. */
const COMMANDING =
  /\b(?:ignor|disregard|forget|overrid)\w*\b.{0,60}\b(?:instruct|prompt|rules?|messages?|above)|system prompt|jailbreak|\b(?:say|print|output|repeat|write|respond|reply)\b.{0,30}\b[A-Z]{4,}|^\W*(?:system|assistant|developer|tool|user)\W{0,3}:/i;

/** Words that may stand inside a run: `copies of the Work` is one thing, `meets a length` and `file except in compliance` are not. */
const JOINING: ReadonlySet<string> = new Set(['of', 'and', 'or', 'for']);

const ARTICLE: ReadonlySet<string> = new Set(['the', 'a', 'an', 'this', 'our', 'your', 'its', 'their']);

/** Characters that frames and model templates are made of. */
const STRUCTURE = /[<>{}|\u2060\u0000-\u001f\\`#*_]|https?:/;

/**
 * The few words of a text that say most about what is wanted: whole short sentences or runs of up to six words that begin
 * and end in content. Quoted words count double, since they are what a speaker rests on.
 * @param weightOf how much a term matters.
 * @param admits whether a run may be picked up, given as `bareText`.
 */
export function phraseOf(
  text: string,
  weightOf: (term: string) => number,
  admits: (bare: string, quoted: boolean) => boolean,
): string | null {
  let best: string | null = null;
  let most = 0;
  for (const { piece, quoted } of piecesOf(text))
    for (const run of runsOf(piece)) {
      const bare = bareText(run);
      if (bare.length < 4 || STRUCTURE.test(run) || !admits(bare, quoted)) continue;
      const terms = new Set(termsOf(run));
      let sum = 0;
      for (const term of terms) sum += weightOf(term);
      const words = run.split(' ').length;
      const score = (sum / Math.sqrt(terms.size + 1.5)) * (quoted ? 2 : 1) * (words < 2 ? 0.5 : 1);
      if (score > most) [best, most] = [run, score];
    }
  return best;
}

/** Pieces between marks, of sentences that say something about the matter. */
function piecesOf(text: string): { piece: string; quoted: boolean }[] {
  const pieces: { piece: string; quoted: boolean }[] = [];
  for (const sentence of text.split(/(?<=[.!?。！？])\s+|\n+/).slice(0, 80)) {
    if (COMMANDING.test(sentence)) continue;
    for (const part of sentence.split(/(“[^”]*”|"[^"]*")/)) {
      const quoted = /^[“"]/.test(part);
      for (const piece of part.split(/[,;:.!?]+(?=\s|$)|[“”"‘…()。！？、，]|’(?=\W|$)|\s[–—-]\s/))
        if (piece.trim() !== '') pieces.push({ piece: piece.trim(), quoted });
    }
  }
  return pieces;
}

function runsOf(piece: string): string[] {
  if (isUnspaced(piece)) return [[...piece].slice(0, 14).join('')];
  const words = piece.split(/\s+/).slice(0, 80);
  const isContent = (word: string | undefined) =>
    word !== undefined && !stopWords.has(word.toLowerCase().replace(/['’]\w*$/, '')) && /[\p{L}\p{N}]/u.test(word);
  const runs: string[] = [];
  for (let from = 0; from < words.length; from++) {
    if (!isContent(words[from])) continue;
    let to = from;
    for (let i = from + 1; i < words.length && i - from < MOST_WORDS; i++)
      if (isContent(words[i])) to = i;
      else if (!JOINING.has(words[i] ?? '') && !(ARTICLE.has(words[i] ?? '') && JOINING.has(words[i - 1] ?? ''))) break;
    const run = words.slice(from, to + 1).join(' ');
    if (!/\d$/.test(run)) runs.push(run);
    while (isContent(words[from + 1])) from += 1;
  }
  return runs;
}

/** The last question of a text that is short enough to be named; quotes in it are not its author's. */
export function questionOf(text: string): string | null {
  const questions = text
    .replace(/“[^”]*”[.:]?/g, ' . ')
    .split(/(?<=[.!?。！？])\s+|\n+/)
    .filter((sentence) => /[?？]$/.test(sentence.trim()) && !COMMANDING.test(sentence) && !STRUCTURE.test(sentence));
  const last = questions.at(-1)?.trim();
  const size = last?.split(/\s+/).length ?? 0;
  return last !== undefined && size >= 3 && size <= 16 && last.length <= 140 ? last : null;
}

/** Words that the topic is about, the title's first: runs of up to three content words. */
export function topicTermsOf(title: string, topic: string): string[] {
  const seen = new Set<string>();
  const runs = [title, topic.slice(0, 2_000)].map((text) =>
    piecesOf(text)
      .flatMap(({ piece }) => contentRuns(piece))
      .filter((run) => {
        const bare = bareText(run);
        const fresh = (bare.length > 3 || isUnspaced(bare)) && !seen.has(bare) && !STRUCTURE.test(run);
        seen.add(bare);
        return fresh;
      }),
  );
  const all = runs.flat();
  const several = all.filter((term) => term.includes(' ') || isUnspaced(term));
  // Single words are verbs as often as not.
  const single = several.length > 1 ? [] : all.filter((term) => !several.includes(term) && term.length > 4);
  return [...several, ...single].slice(0, 12);
}

/** `Apache licence right` is a topic's question, not a thing. */
function withoutJudgement(run: readonly string[]): readonly string[] {
  return /^(?:right|wrong|good|bad|better|best|fine|strong|weak|safe|worth|useful|new|possible|ready)$/i.test(
    run.at(-1) ?? '',
  )
    ? run.slice(0, -1)
    : run;
}

function contentRuns(piece: string): string[] {
  if (isUnspaced(piece)) return [[...piece].slice(0, 12).join('')];
  const runs: string[][] = [[]];
  for (const word of piece.split(/\s+/).slice(0, 200)) {
    const content = termOf(word.toLowerCase().replace(/[^\p{L}\p{N}'’-]/gu, '')) !== null && !/ly$/i.test(word);
    if (!content) runs.push([]);
    else if ((runs.at(-1)?.length ?? 0) < 3) runs.at(-1)?.push(word);
    else runs.push([word]);
  }
  return runs.map((run) => withoutJudgement(run).join(' ')).filter((run) => run !== '');
}
