import { isUnspaced, stopWords } from './offlineWords.ts';

/** What a passage does, as far as its words tell. English only: other languages are `plain`. */
export type PassageKind =
  | 'condition'
  | 'exclusion'
  | 'prohibition'
  | 'negation'
  | 'obligation'
  | 'permission'
  | 'definition'
  | 'number'
  | 'contrast'
  | 'cause'
  | 'plain';

export interface Passage {
  /** Verbatim but for line breaks, `…` where something was left out, and no full stop at its end. */
  readonly text: string;
  readonly kind: PassageKind;
  /** The few words that make it that kind, verbatim. */
  readonly clause: string | null;
  /** It begins where its sentence begins. */
  readonly whole: boolean;
}

const MOST_WORDS = 27;
const FEWEST_WORDS = 6;
/** A window from the middle of a sentence needs more to be understood. */
const FEWEST_WORDS_INSIDE = 10;
const MOST_CHARACTERS_UNSPACED = 70;

/** First match decides: what limits a statement says more about it than what it grants. */
const kinds: readonly (readonly [PassageKind, RegExp])[] = [
  [
    'exclusion',
    /\b(without (?:any )?(?:warrant|liabilit)|no (?:warrant|liabilit|obligation)|in no event|not (?:be )?(?:liable|responsible)|disclaim)/i,
  ],
  ['prohibition', /\b((?:must|shall|may|should) not|does not grant|prohibit\w*|forbid\w*|no one may)\b/i],
  ['condition', /\b(unless|provided that|except|subject to|only if|only when|as long as|if)\b/i],
  ['negation', /\b((?:can|will|does|do|is|are|was|were) not|cannot|never|nothing|nobody|no one)\b/i],
  ['definition', /\b(shall mean|means|refers to|is defined as|is called|are called|is known as)\b/i],
  [
    'number',
    /(?<!(?:sections?|articles?|rfc|version|page|figure|chapter|table|no\.?|part) ?)\b\d[\d.,]*(?: ?%| (?!and|or|to|of|in|is|are|on|at)\p{Ll}{3,})/u,
  ],
  ['obligation', /\b(must|shall|is required to|are required to|has to|have to|should)\b/i],
  [
    'permission',
    /\b((?<!(?:that|which|it|this|what) )may(?! be\b)|grants?|permits?|allows?|is free to|are free to)\b/i,
  ],
  ['contrast', /\b(however|although|whereas|but|yet)\b/i],
  ['cause', /\b(because|therefore|so that|as a result|in order to)\b/i],
];

/** The parts of a sentence that are short enough to be quoted: the sentence itself, or windows of whole clauses. */
export function passagesOf(sentence: string): Passage[] {
  const bare = sentence.replace(/[.;。]$/, '').replace(/:$/, '…');
  if (isUnspaced(bare)) return [passage(clip(bare, MOST_CHARACTERS_UNSPACED), true)];
  const words = bare.split(' ');
  if (words.length <= MOST_WORDS) return [passage(bare, true)];
  const windows: string[][] = [];
  let current: string[] = [];
  for (const clause of clausesOf(words)) {
    if (current.length > 0 && current.length + clause.length > MOST_WORDS) {
      windows.push(current);
      current = [];
    }
    current.push(...clause);
  }
  windows.push(current);
  return windows.slice(0, 5).flatMap((window, i) => {
    const start = i > 0 && /^(?:and|or|but|nor)$/i.test(window[0] ?? '') ? 1 : 0;
    const kept = endInContent(window.slice(start, start + MOST_WORDS));
    if (kept.length < (i === 0 ? FEWEST_WORDS : FEWEST_WORDS_INSIDE)) return [];
    const ends = i === windows.length - 1 && start + kept.length === window.length;
    const text = kept.join(' ').replace(/[,;:—–]$/, '');
    return [passage(`${i === 0 ? '' : '…'}${text}${ends || text.endsWith('…') ? '' : '…'}`, i === 0)];
  });
}

function passage(text: string, whole: boolean): Passage {
  for (const [kind, pattern] of kinds) {
    const found = pattern.exec(text);
    if (found) return { text, whole, kind, clause: clauseAt(text, kind, found) };
  }
  return { text, whole, kind: 'plain', clause: null };
}

function clauseAt(text: string, kind: PassageKind, found: RegExpExecArray): string | null {
  if (kind === 'definition') {
    const defined = text.slice(0, found.index).trim();
    return defined.split(' ').length <= 4 && defined.length > 2 ? defined.replace(/["“”]/g, '') : null;
  }
  if (kind === 'number') return found[0];
  const rest = /^[^,;:.()…!?"“”]*/.exec(text.slice(found.index))?.[0] ?? '';
  // `may add a statement and may provide terms` is two clauses.
  const clause = rest.split(/ (?:and|or|but) (?=(?:may|must|shall|should|can)\b)/)[0] ?? '';
  const words = endInContent(clause.trim().split(/\s+/).slice(0, 12));
  return words.length < 3 ? null : words.join(' ');
}

function clausesOf(words: readonly string[]): string[][] {
  const clauses: string[][] = [[]];
  for (const word of words) {
    clauses.at(-1)?.push(word);
    if (/[,;:]["'”’)]*$|^[—–]$/.test(word)) clauses.push([]);
  }
  return clauses.filter((clause) => clause.length > 0);
}

/** A cut text that ends in `of the` reads as a mistake. */
function endInContent(words: readonly string[]): string[] {
  const kept = [...words];
  while (kept.length > 1 && stopWords.has((kept.at(-1) ?? '').toLowerCase())) kept.pop();
  return kept;
}

function clip(text: string, most: number): string {
  const characters = [...text];
  return characters.length <= most ? text : `${characters.slice(0, most).join('')}…`;
}
