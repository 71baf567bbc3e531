import { isUnspaced } from './offlineWords.ts';

/** Most of a document that is read, in UTF-16 units: about 70,000 words, read in some 60 ms. */
const MAX_DOCUMENT = 400_000;
const MAX_SENTENCE = 1_500;

const LIST_MARK =
  /^\s*(?:[-*•·–]\s+|o\s{2,}|\(?[0-9ivx]{1,4}[.)]\s+|\(?[a-z][.)]\s+|\d+(?:\.\d+)+\.?\s+|[§¶]+\s*\d+\.?\s+)/;
const ABBREVIATION =
  /(?:^|[\s("'“‘])(?:e\.g|i\.e|etc|cf|vs|al|mr|mrs|ms|dr|prof|st|no|nos|sec|secs|art|arts|abs|para|fig|figs|eq|ch|vol|pp?|ed|eds|inc|ltd|corp|co|approx|resp|bzw|z\.b|d\.h|nr|ca|u\.s|[a-z])\.$/i;

/**
 * The sentences of a document that can be quoted: prose only. Page headers and footers, figures, tables, code, contents
 * lists and headings are left out; words broken at the end of a line are put together again, also across pages.
 */
export function sentencesOf(document: string): string[] {
  const text = document
    .slice(0, MAX_DOCUMENT)
    .replace(/\r\n?/g, '\n')
    .replace(/[\u00ad\u200b\ufeff]/g, '');
  return paragraphsOf(text).flatMap((paragraph) => splitSentences(paragraph).filter(isQuotable));
}

interface Paragraph {
  lines: string[];
  rejected: number;
  readonly marked: boolean;
}

function paragraphsOf(text: string): string[] {
  const lines = text.split(/[\n\f\v\u2028\u2029]/);
  const repeated = repeatedLines(lines);
  const paragraphs: Paragraph[] = [];
  let current: Paragraph = { lines: [], rejected: 0, marked: false };
  let fenced = false;
  const close = (marked: boolean) => {
    if (current.lines.length > 0 && current.rejected <= current.lines.length * 0.4) paragraphs.push(current);
    current = { lines: [], rejected: 0, marked };
  };
  for (const line of lines) {
    if (/^\s*(```|~~~)/.test(line)) fenced = !fenced;
    const mark = LIST_MARK.exec(line);
    if (fenced || line.trim() === '' || /^#{1,6}\s/.test(line) || isPageLine(line, repeated)) close(false);
    else if (isFigureLine(line)) current.rejected += 1;
    else {
      if (mark) close(true);
      current.lines.push((mark ? line.slice(mark[0].length) : line).trim());
    }
  }
  close(false);
  // Asked for each broken line of a document, so searching the text itself would take seconds for a hostile one.
  const vocabulary = /\p{L}-[ \t]*\n/u.test(text) ? vocabularyOf(text) : new Set<string>();
  return joinBrokenParagraphs(paragraphs).map((paragraph) => joinLines(paragraph.lines, vocabulary));
}

/** Running heads differ by their page number only. */
function repeatedLines(lines: readonly string[]): Set<string> {
  const counts = new Map<string, number>();
  for (const line of lines) {
    const key = pageKey(line);
    if (key.length > 3 && key.length < 90) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return new Set([...counts].filter(([, count]) => count > 2).map(([key]) => key));
}

function pageKey(line: string): string {
  return line.trim().replace(/\d+/g, '#').replace(/\s+/g, ' ');
}

function isPageLine(line: string, repeated: ReadonlySet<string>): boolean {
  return (
    /\[?\bPage \d+(?: of \d+)?\]?\s*$|^[\s–-]*\d{1,4}[\s–-]*$|^\s*(?:RFC|Internet-Draft)\s.*\d{4}\s*$/i.test(line) ||
    repeated.has(pageKey(line))
  );
}

/** Drawings, table rows, columns, contents lists, code, grammars. */
function isFigureLine(line: string): boolean {
  const trimmed = line.trim();
  if (
    /[|+][-=~+]|[-=_~*]{3,}|\|.*\||\.{4,}|(?:\. ){4,}|::=|=>|<-|->|[\u2500-\u257f]/.test(trimmed) ||
    /\S {4,}\S|\S\t+\S/.test(trimmed)
  )
    return true;
  if (
    /[{};]$|^(?:[$>%#]|\/\/|\/\*|#include|import |def |function |const |<\/?\w)/.test(trimmed) &&
    !/; *$/.test(trimmed)
  )
    return true;
  const letters = trimmed.match(/[\p{L}\p{M}\p{N}]/gu)?.length ?? 0;
  return letters < trimmed.replace(/\s/g, '').length * 0.55;
}

/** A sentence that a page break cut in two goes on in lower case. */
function joinBrokenParagraphs(paragraphs: readonly Paragraph[]): Paragraph[] {
  const joined: Paragraph[] = [];
  for (const paragraph of paragraphs) {
    const before = joined.at(-1);
    const open = before !== undefined && !/[.!?:;。！？]["'”’)\]]*$/.test(before.lines.at(-1) ?? '');
    if (before && open && !paragraph.marked && /^\p{Ll}/u.test(paragraph.lines[0] ?? ''))
      before.lines.push(...paragraph.lines);
    else joined.push({ ...paragraph, lines: [...paragraph.lines] });
  }
  return joined;
}

function joinLines(lines: readonly string[], vocabulary: ReadonlySet<string>): string {
  let text = '';
  for (const line of lines) {
    const left = /(\p{L}+)-$/u.exec(text)?.[1]?.toLowerCase();
    const right = /^\p{Ll}+/u.exec(line)?.[0];
    if (left && right) text = (keepsHyphen(left, right, vocabulary) ? text : text.slice(0, -1)) + line;
    else if (isUnspaced(text.slice(-1)) && isUnspaced(line.slice(0, 1))) text += line;
    else text += (text === '' ? '' : ' ') + line;
  }
  return text
    .replace(/\[([^\]]{1,120})\]\([^)\s]{1,300}\)/g, '$1')
    .replace(/\*\*|__|<\/?[a-z][^>]{0,80}>/gi, '')
    .replace(/\s+/g, ' ')
    .trim();
}

function vocabularyOf(text: string): Set<string> {
  const unbroken = text.toLowerCase().replace(/\p{L}+-[ \t]*\n\s*\p{L}+/gu, ' ');
  return new Set(unbroken.match(/\p{L}[\p{L}-]*\p{L}/gu));
}

const BEFORE_HYPHEN =
  /^(?:well|self|non|end|high|low|long|short|real|cross|full|half|first|second|third|one|two|three|so|ever|open)$/;

/** The document itself tells whether `well-` + `known` is one word, if it uses the word elsewhere. */
function keepsHyphen(left: string, right: string, vocabulary: ReadonlySet<string>): boolean {
  if (BEFORE_HYPHEN.test(left)) return true;
  if (vocabulary.has(`${left}${right}`)) return false;
  if (vocabulary.has(`${left}-${right}`)) return true;
  return left.length > 2 && right.length > 2 && vocabulary.has(left) && vocabulary.has(right);
}

function splitSentences(paragraph: string): string[] {
  const sentences: string[] = [];
  let from = 0;
  const ends = /[.!?…]+["'”’)\]]*\s+(?=["'“‘(«]*[\p{Lu}\p{Lo}\p{N}])|[。！？]+[”’」』）)]*/gu;
  for (const end of paragraph.matchAll(ends)) {
    const to = end.index + end[0].length;
    const sentence = paragraph.slice(from, to).trim();
    if (ABBREVIATION.test(sentence.slice(-12)) || /^[\dIVX.]+$/.test(sentence)) continue;
    sentences.push(sentence);
    from = to;
  }
  const rest = paragraph.slice(from).trim();
  if (rest !== '') sentences.push(rest);
  return sentences.map((sentence) => sentence.replace(/[;,]\s*(?:and|or|und|oder|et|ou)?$/, ';'));
}

function isQuotable(sentence: string): boolean {
  if (sentence.length > MAX_SENTENCE || !/[.!?:;…。！？]["'”’)\]]*$/.test(sentence)) return false;
  const unspaced = isUnspaced(sentence);
  if (unspaced ? sentence.length < 10 : sentence.split(' ').length < 6) return false;
  if (!/^["'“‘(«…]*[\p{Lu}\p{Lo}\p{N}]/u.test(sentence)) return false;
  if (/[{}|\\^~`<>=@\u2060\ufffd]|https?:|www\.|\[(?![A-Z0-9.-]{1,12}\])|[^\p{L}\p{N}\s]{4,}/u.test(sentence))
    return false;
  if (/^(?:\p{Lu}{4,}|Appendix|Chapter|Figure|Table)\b[^.]{0,20}:/u.test(sentence)) return false;
  const letters = sentence.match(/[\p{L}\p{M}]/gu)?.length ?? 0;
  const capitals = sentence.match(/\p{Lu}/gu)?.length ?? 0;
  return letters > sentence.replace(/\s/g, '').length * 0.75 && capitals < letters * 0.35;
}
