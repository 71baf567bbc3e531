/** Words of any language as the offline model compares them, and the hash its choices are seeded with. */

/** Words that say nothing about a subject: never a search term, never the edge of a phrase that is picked up. */
export const stopWords: ReadonlySet<string> = new Set(
  (
    'a about above after again against all almost also although am an and another any anyone anything are aren as at be because been before ' +
    'being below between both but by can cannot could did do does doing don down during each either else enough even ever every ' +
    'everyone everything few first for from further get gets give go goes had has have having he her here hers him his how however i if in ' +
    'indeed instead into is isn it its itself just keep last least less let like ll made make many may me might mine more most much must ' +
    'my near need neither no nobody none nor not nothing now of off often on once one only onto or other others our ours out over own ' +
    'per perhaps quite rather re really said same say says see shall she should since so some someone something still such sure take than ' +
    'that the their theirs them themselves then there these they thing things think this those though through thus to too two under ' +
    'until up upon us use used using ve very want was way we well were what whatever when where whether which while who whoever ' +
    'whole whom whose why will with within without would yes yet you your yours hereby herein hereof hereunder thereof therein thereto discuss discussion question document text ' +
    'aber als am an auch auf aus bei bin bis da das dass dem den der des die doch durch ein eine einem einen einer eines er es für ' +
    'hat ich im in ist ja kann man mit nach nicht noch nur ob oder sein sich sie sind so über um und uns vom von vor war wenn wie ' +
    'wir wird zu zum zur au aux avec ce ces cette dans de des du elle en est et il ils je la le les leur mais ne nous ou par pas ' +
    'plus pour qu que qui sa se ses son sont sur un une vous al como con del el ella en es esta este la las lo los más no o para ' +
    'pero por que se sin son su sus un una y'
  ).split(' '),
);

const WORD = /[\p{L}\p{N}][\p{L}\p{N}\p{M}'’-]*/gu;
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Khmer}\p{Script=Lao}]/u;

/** Whether the text is of a script that puts no spaces between words. */
export function isUnspaced(text: string): boolean {
  return UNSPACED.test(text);
}

/** The words of a text in lower case; scripts without spaces give overlapping pairs of characters. */
export function wordsOf(text: string): string[] {
  const words: string[] = [];
  for (const [word] of text.toLowerCase().matchAll(WORD)) {
    if (word.charCodeAt(0) < 0x0e00 || !isUnspaced(word)) words.push(word);
    else {
      const characters = [...word];
      for (let i = 0; i < Math.max(1, characters.length - 1); i++) words.push(characters.slice(i, i + 2).join(''));
    }
  }
  return words;
}

/** What is compared: the beginning of a word, so that `contributor` and `contributions` meet. Null for stop words. */
export function termOf(word: string): string | null {
  if (stopWords.has(word)) return null;
  const bare = word.replace(/['’]s?$/, '').replace(/^(lic|def|off)ence/, '$1ense');
  if (bare.length < 3) return isUnspaced(bare) ? bare : null;
  return bare.length > 7 ? bare.slice(0, 7) : bare.replace(/s$/, '');
}

/** The terms of a text in its order, doubles included. */
export function termsOf(text: string): string[] {
  return wordsOf(text).flatMap((word) => termOf(word) ?? []);
}

/** Words alone, so that quotation marks, case and line breaks do not hide that a text was said before. */
export function bareText(text: string): string {
  return wordsOf(text.replace(/[’']/g, '')).join(' ');
}

/** FNV-1a, 32 bits. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  // FNV's low bits follow the last characters closely; small remainders are taken of them.
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 12)) >>> 0;
}

/** The items in an order that depends on the key alone. */
export function shuffled<T>(items: readonly T[], key: string): T[] {
  return items
    .map((item, i) => ({ item, rank: hashOf(`${key}#${i}`) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}
