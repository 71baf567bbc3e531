import { bankTerms, bankText } from './offlineBank.ts';
import { phraseOf, questionOf, topicTermsOf } from './offlineEcho.ts';
import type { DocumentIndex, IndexedPassage } from './offlineIndex.ts';
import type { OfflineMaterial } from './offlineMaterial.ts';
import type { Situation } from './offlineSituation.ts';
import { bareText, isUnspaced, shuffled, termsOf, wordsOf } from './offlineWords.ts';

/** What the slots of `offlinePhrases.ts` are filled with; null where there is nothing. */
export type FilledSlots = Readonly<Record<string, string | null>>;

/** Fills what can be filled: names, words to pick up from the last two speakers, the passage, terms of the topic. */
export function slotsOf(
  situation: Situation,
  index: DocumentIndex,
  wanted: ReadonlyMap<string, number>,
  passage: IndexedPassage | null,
): FilledSlots {
  const { material, saidBare, key } = situation;
  const others = material.said.filter(({ author }) => author !== material.name);
  const last = others.at(-1);
  const other = others.findLast(({ author }) => author !== last?.author);
  const weight = (term: string) => (wanted.get(term) ?? 0.2) * (0.5 + Math.min(4, index.rarity(term) || 1.5));
  const names = new Set(
    [material.name, ...material.participants, ...others.map(({ author }) => author)].flatMap(wordsOf),
  );
  const phrase = (text: string | undefined) =>
    text === undefined
      ? null
      : phraseOf(text, weight, (bare, inQuotes) => isOwn(bare, inQuotes, names, wanted, saidBare));
  const terms = shuffled(topicTermsOf(material.title, material.topic), key).sort(
    (a, b) => saidBare.lastIndexOf(bareText(a)) - saidBare.lastIndexOf(bareText(b)),
  );
  return {
    who: named(last?.author),
    theirs: quoted(phrase(last?.text)),
    question: quoted(last ? questionFor(material, last.text) : null),
    other: named(other?.author),
    others: quoted(phrase(other?.text)),
    next: named(nextSpeaker(material)),
    quote: quoted(passage?.text ?? null),
    clause: quoted(passage?.clause ?? null),
    term: quoted(terms[0] ?? null),
    term2: quoted(terms[1] ?? null),
  };
}

/** Not a name, not a sentence of the bank, not an echo of an echo: words that somebody brought in. */
function isOwn(
  bare: string,
  inQuotes: boolean,
  names: ReadonlySet<string>,
  wanted: ReadonlyMap<string, number>,
  saidBare: string,
): boolean {
  const words = bare.split(' ');
  const known = (term: string) => (wanted.get(term) ?? 0) >= 0.8;
  if (words.length < 2 && !isUnspaced(bare) && !termsOf(bare).some(known)) return false;
  if (
    words.some((word) => names.has(word) || names.has(word.replace(/s$/, ''))) ||
    saidBare.indexOf(bare) !== saidBare.lastIndexOf(bare)
  )
    return false;
  if (bankText.includes(bare)) return false;
  return inQuotes || termsOf(bare).some((term) => !bankTerms.has(term) || known(term));
}

/** A question of the last speaker that is put to everyone or to this agent by name; the bank's own only by name. */
function questionFor({ name, participants }: OfflineMaterial, text: string): string | null {
  const question = questionOf(text);
  if (question === null) return null;
  const others = participants.filter((who) => who !== name);
  if (others.some((who) => question.includes(who))) return null;
  if (name !== '' && question.startsWith(`${name}, `)) {
    const asked = question.slice(name.length + 2);
    return asked.charAt(0).toUpperCase() + asked.slice(1);
  }
  const spokenOf = name !== '' && question.includes(name);
  return spokenOf || bankText.includes(bareText(question)) ? null : question;
}

/** Whoever has been silent longest, so that a moderator's questions go round. */
export function nextSpeaker({ participants, said, name }: OfflineMaterial): string | null {
  const lastSpoke = (who: string) => said.findLastIndex(({ author }) => author === who);
  return participants.filter((who) => who !== name).sort((a, b) => lastSpoke(a) - lastSpoke(b))[0] ?? null;
}

function quoted(text: string | null): string | null {
  return text === null ? null : `“${text.replace(/[“„«]|"(?=[\p{L}\p{N}])/gu, '‘').replace(/[”»"]/g, '’')}”`;
}

/** A name stands outside quotation marks: one short line without marks of its own. */
function named(name: string | null | undefined): string | null {
  const plain = (name ?? '').replace(/[“”"\s<>{}\u2060]+/g, ' ').trim();
  return plain === '' ? null : plain.slice(0, 64);
}
