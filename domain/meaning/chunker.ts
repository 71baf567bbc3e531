/**
 * Cuts texts into chunks small enough to be embedded. Chunks are named by their number, in vectors, in the log and by whoever
 * recalls them: what is cut differently is another version, whose index is built anew.
 */

/** Version of the cuts. */
export const CHUNKER = 'c1';

/** Where a chunk is in its text: UTF-16 units, end exclusive. */
export interface Chunk {
  readonly starts: number;
  readonly ends: number;
}

/** Costs are counted in quarters of a token. */
const TOKEN = 4;
/** What a chunk may cost by an estimate, so that a model that reads 256 tokens reads it whole. */
const MAX_UNITS = 180 * TOKEN;
/** A cut leaves at least this much, or it is not worth a better place. */
const HALF_UNITS = MAX_UNITS / 2;
/** What two neighbours share at most. */
const OVERLAP_UNITS = 40 * TOKEN;
/** A longer word is a key, an address or noise, of which models make many tokens. */
const LONG_WORD = 20;
/** Such words may be cut after so many characters, and between whatever characters after so much. */
const PIECE = 16;
const PIECE_UNITS = 30 * TOKEN;

/** How good a place to cut is. */
const INSIDE_WORD = 0;
const WORD = 1;
const LINE = 2;
const SENTENCE = 3;
const PARAGRAPH = 4;

/** What is never cut, with the place before it. */
interface Atom {
  readonly starts: number;
  readonly ends: number;
  readonly units: number;
  /** Cost of the white space before it. */
  readonly gapUnits: number;
  readonly place: number;
}

/**
 * Cuts a text at paragraphs, where those are too long at sentences and lines, then at words, then between characters; never
 * inside a surrogate pair, nor between a letter and its marks. Each chunk costs at most 180 tokens by `cautiousTokens`, and
 * begins with about the last sentence of the one before, at most 40 tokens. White space around chunks is left out, every
 * other character is in one. What fits is one chunk; a blank text has none. Takes time in proportion to the text.
 */
export function chunksOf(text: string): readonly Chunk[] {
  const atoms = atomsOf(text);
  const chunks: Chunk[] = [];
  for (let first = 0; first < atoms.length;) {
    const end = endOf(atoms, first);
    chunks.push({ starts: atoms[first]?.starts ?? 0, ends: atoms[end - 1]?.ends ?? 0 });
    first = end === atoms.length ? end : nextStart(atoms, first, end);
  }
  return chunks;
}

/** What a text costs a model at most, but for odd ones: the estimate behind `chunksOf`. */
export function cautiousTokens(text: string): number {
  return Math.ceil(
    atomsOf(text).reduce((sum, { units, gapUnits }, i) => sum + units + (i === 0 ? 0 : gapUnits), 0) / TOKEN,
  );
}

/** The index after the last atom of a chunk: at the best place in the second half of what may be filled. */
function endOf(atoms: readonly Atom[], first: number): number {
  const last: number[] = [];
  let units = 0;
  for (let i = first; i < atoms.length; i += 1) {
    const atom = atoms[i];
    if (atom === undefined) break;
    const more = units + atom.units + (i === first ? 0 : atom.gapUnits);
    if (i > first && (units >= HALF_UNITS || more > MAX_UNITS)) last[atom.place] = i;
    if (more > MAX_UNITS) return last.findLast((end) => end !== undefined) ?? i;
    units = more;
  }
  return atoms.length;
}

/** Where the chunk after `end` begins: with the sentence before it, or as much of its end as may be repeated. */
function nextStart(atoms: readonly Atom[], first: number, end: number): number {
  let units = atoms[end]?.gapUnits ?? 0;
  let start = end;
  for (let i = end - 1; i > first; i -= 1) {
    const atom = atoms[i];
    if (atom === undefined || units + atom.units > OVERLAP_UNITS) break;
    units += atom.units + atom.gapUnits;
    start = i;
    if (atom.place >= SENTENCE) return i;
  }
  return start;
}

function atomsOf(text: string): Atom[] {
  const atoms: Atom[] = [];
  let end = 0;
  for (;;) {
    let starts = end;
    while (starts < text.length && isSpace(text.charCodeAt(starts))) starts += 1;
    if (starts === text.length) return atoms;
    const place = atoms.length === 0 ? PARAGRAPH : placeOf(text, end, starts);
    // A single space is part of the word for every model, and many make little of more.
    const gapUnits = (starts - end) >> 2;
    end = starts;
    while (end < text.length && !isSpace(text.charCodeAt(end))) end += 1;
    addWord(atoms, text, { starts, ends: end, gapUnits, place });
  }
}

const SPACE = /\s/;

function isSpace(code: number): boolean {
  return code < 0x80 ? code === 0x20 || (code >= 9 && code <= 13) : SPACE.test(String.fromCharCode(code));
}

const CLOSING = `"'”’)]»*_\``;
const ENDING = '.!?…。！？';
const LIST_ITEM = /(?:[-*+•#>|]|\d{1,3}[.)]|\(?[a-z]\))/y;

/** What the white space before a word stands for. */
function placeOf(text: string, gap: number, at: number): number {
  let lines = 0;
  for (let i = gap; i < at; i += 1) {
    const code = text.charCodeAt(i);
    if (code === 0x0a || code === 0x2028 || (code === 0x0d && text.charCodeAt(i + 1) !== 0x0a)) lines += 1;
    else if (code === 0x0c || code === 0x2029) lines += 2;
  }
  if (lines > 1) return PARAGRAPH;
  if (endsSentence(text, gap) && !/\p{Ll}/u.test(text.charAt(at))) return SENTENCE;
  if (lines === 0) return WORD;
  LIST_ITEM.lastIndex = at;
  return ';{}'.includes(text.charAt(gap - 1)) || LIST_ITEM.test(text) ? SENTENCE : LINE;
}

function endsSentence(text: string, end: number): boolean {
  let at = end - 1;
  while (at > end - 4 && at > 0 && CLOSING.includes(text.charAt(at))) at -= 1;
  if (!ENDING.includes(text.charAt(at))) return false;
  // Initials, and what is put as `e.g.`
  const abbreviated = isAsciiLetter(text.charCodeAt(at - 1)) && !isAsciiLetter(text.charCodeAt(at - 2));
  return text.charAt(at) !== '.' || !abbreviated;
}

/** Adds a word: in one, unless it is long or of a script without spaces. */
function addWord(atoms: Atom[], text: string, word: Omit<Atom, 'units'>): void {
  const long = word.ends - word.starts > LONG_WORD;
  let { starts, place, gapUnits } = word;
  let units = 0;
  let letters = 0;
  let before = 0;
  let ended = false;
  for (let at = starts; at < word.ends;) {
    const code = text.codePointAt(at) ?? 0;
    if (at > starts && mayBeCut(before, code, at - starts, units, long)) {
      atoms.push({ starts, ends: at, units, gapUnits, place });
      starts = at;
      place = ended ? SENTENCE : INSIDE_WORD;
      ended = false;
      gapUnits = units = letters = 0;
    }
    letters = isAsciiLetter(code) ? letters + 1 : 0;
    if (letters === 0) units += unitsOf(code);
    // Letters make a token by fours, in long words by twos.
    else if (letters % (long ? 2 : 4) === 1) units += TOKEN;
    ended ||= endsIdeographicSentence(code);
    before = isRegional(before) && isRegional(code) ? 0 : code;
    at += code > 0xffff ? 2 : 1;
  }
  atoms.push({ starts, ends: word.ends, units, gapUnits, place });
}

function mayBeCut(before: number, code: number, length: number, units: number, long: boolean): boolean {
  if (units >= PIECE_UNITS) return true;
  const apart = isIdeographic(code) || isIdeographic(before);
  if (!apart && !(long && length >= PIECE)) return false;
  return !isJoined(code) && before !== JOINER && !(isRegional(before) && isRegional(code));
}

const JOINER = 0x200d;

/** Of a script without spaces, where every character is a place to cut. */
function isIdeographic(code: number): boolean {
  if (code < 0x2e80) return false;
  return code < 0xd800 || (code >= 0xf900 && code < 0xfb00) || (code >= 0xff00 && code < 0xfff0) || code >> 17 === 1;
}

const JOINED = /[\p{M}\p{Pe}\p{Pf}、。，．｡､！？：；\u200d\u{1f3fb}-\u{1f3ff}\u{e0020}-\u{e007f}]/u;

/** Belongs to the character before: marks, signs that close, what emoji are joined by. */
function isJoined(code: number): boolean {
  if (code < 0x80 || (code >= 0x4e00 && code < 0xd800)) return false;
  return JOINED.test(String.fromCodePoint(code));
}

/** Flags are two of these. */
function isRegional(code: number): boolean {
  return code >= 0x1f1e6 && code <= 0x1f1ff;
}

/** `。｡！？` */
function endsIdeographicSentence(code: number): boolean {
  return code === 0x3002 || code === 0xff61 || code === 0xff01 || code === 0xff1f;
}

function isAsciiLetter(code: number): boolean {
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

/** What a character costs that is no ASCII letter. */
function unitsOf(code: number): number {
  if (code < 0xc0) return TOKEN;
  if (code < 0x370 || (code >= 0x1e00 && code < 0x1f00)) return 2;
  // Small models know other alphabets by the letter, Hangul by the two or three of its syllables.
  if (code < 0x2000) return 3;
  if (code >= 0xac00 && code < 0xd7b0) return 9;
  return code >= 0x1f000 || (code >= 0x2600 && code < 0x27c0) ? 2 * TOKEN : TOKEN;
}
