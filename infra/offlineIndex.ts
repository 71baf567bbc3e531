import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { passagesOf, type Passage } from './offlinePassages.ts';
import { sentencesOf } from './offlineSentences.ts';
import { termsOf } from './offlineWords.ts';

const MAX_PASSAGES = 12_000;
const CACHED_DOCUMENTS = 24;
/** Documents' characters whose indexes are kept; an index takes about six times its document's size. */
const CACHED_CHARACTERS = 4_000_000;

export interface IndexedPassage extends Passage {
  readonly terms: ReadonlySet<string>;
  /** Where it stands in the document, 0 to 1. */
  readonly place: number;
  /** How much it speaks of what the document speaks of most, about 0 to 1. */
  readonly central: number;
}

export interface DocumentIndex {
  readonly passages: readonly IndexedPassage[];
  /** How rare a term is among the passages (inverse document frequency); 0 for unknown terms. */
  rarity(term: string): number;
}

/** Indexes of the documents seen last, by the SHA-256 of their parts. */
export function createOfflineIndex(): (parts: readonly string[]) => DocumentIndex {
  const cache = new LRUCache<string, DocumentIndex>({ max: CACHED_DOCUMENTS, maxSize: CACHED_CHARACTERS });
  return (parts) => {
    const text = parts.join('\f');
    const key = createHash('sha256').update(text).digest('base64');
    const known = cache.get(key);
    if (known) return known;
    const index = indexOf(text);
    cache.set(key, index, { size: Math.max(1, Math.min(text.length, CACHED_CHARACTERS)) });
    return index;
  };
}

function indexOf(text: string): DocumentIndex {
  const seen = new Set<string>();
  const found: { passage: Passage; terms: Set<string> }[] = [];
  for (const sentence of sentencesOf(text)) {
    if (found.length >= MAX_PASSAGES) break;
    if (seen.has(sentence)) continue;
    seen.add(sentence);
    for (const passage of passagesOf(sentence)) found.push({ passage, terms: new Set(termsOf(passage.text)) });
  }
  const counts = new Map<string, number>();
  for (const { terms } of found) for (const term of terms) counts.set(term, (counts.get(term) ?? 0) + 1);
  const rarity = (term: string): number => {
    const count = counts.get(term);
    return count === undefined ? 0 : Math.log(1 + found.length / count);
  };
  return {
    rarity,
    passages: found.map(({ passage, terms }, i) => {
      let sum = 0;
      for (const term of terms) sum += Math.log(counts.get(term) ?? 1);
      const central = sum / (terms.size + 6) / Math.log(found.length + 2);
      return { ...passage, terms, central, place: (i + 0.5) / found.length };
    }),
  };
}

/** How much a passage has to do with the wanted terms: shared rare words, long passages held back. */
export function relevance(index: DocumentIndex, passage: IndexedPassage, wanted: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const term of passage.terms) {
    const weight = wanted.get(term);
    // The power lets one rare word of the question weigh more than three that stand everywhere.
    if (weight !== undefined) sum += weight * index.rarity(term) ** 1.5;
  }
  return sum / Math.sqrt(passage.terms.size + 8);
}
