import { isFromBank, withoutBank } from './offlineBank.ts';
import { relevance, type DocumentIndex, type IndexedPassage } from './offlineIndex.ts';
import type { Situation } from './offlineSituation.ts';
import { stanceTraits } from './offlineStances.ts';
import { bareText, termsOf } from './offlineWords.ts';

/** Terms that matter for this turn, with weights up to 1 for the title's. */
export function wantedTerms({ material }: Situation): Map<string, number> {
  const wanted = new Map<string, number>();
  const add = (text: string, weight: number) => {
    for (const term of new Set(termsOf(text))) wanted.set(term, Math.max(wanted.get(term) ?? 0, weight));
  };
  const last = material.said.at(-1)?.text ?? '';
  // What a person or another model says leads; an offline agent's quotes would only pull in their neighbours.
  const asked = last !== '' && !isFromBank(last);
  add(material.instructions.slice(0, 2_000), 0.3);
  add(material.topic.slice(0, 4_000), asked ? 0.4 : 0.8);
  add(material.title, asked ? 0.5 : 1);
  add(withoutBank(last), asked ? 1.5 : 0.3);
  return wanted;
}

/** Terms of topic and last message count, those of instructions do not. */
const CLOSE_WEIGHT = 0.5;

export interface Chosen {
  readonly passage: IndexedPassage;
  /** It shares enough with topic and talk to be brought in as speaking to them. */
  readonly close: boolean;
}

/** The passage to quote: near the topic and the talk, liked by the stance, not quoted yet. Null when nothing is left. */
export function choosePassage(situation: Situation, index: DocumentIndex, wanted: Map<string, number>): Chosen | null {
  const { likes } = stanceTraits[situation.stance];
  // The view moves through the document in a dozen turns, so that quotes do not come back when they leave the window.
  const centre = ((situation.material.turn - 1) % 12) / 12;
  const said = shinglesOf(situation.saidBare);
  const scored = index.passages
    .map((passage) => {
      const shared = relevance(index, passage, wanted);
      const near = Math.max(0, 1 - Math.abs(passage.place - centre) * 4);
      const score =
        (shared + passage.central * 0.6) *
        (1 + near * 0.5) *
        (likes.includes(passage.kind) ? 1.3 : 1) *
        (passage.whole ? 1 : 0.7);
      return { passage, score };
    })
    .sort((a, b) => b.score - a.score || a.passage.place - b.passage.place);
  const fresh = [];
  for (const each of scored) {
    if (fresh.length >= 3 || (fresh[0] && each.score < fresh[0].score * 0.85)) break;
    if (!overlaps(each.passage.text, said)) fresh.push(each);
  }
  const picked = fresh[situation.variant % Math.max(1, fresh.length)];
  if (!picked) return null;
  const common = [...picked.passage.terms].filter((term) => (wanted.get(term) ?? 0) >= CLOSE_WEIGHT);
  return { passage: picked.passage, close: common.length >= 2 };
}

/** Runs of five words, the unit in which a quote counts as already used. */
function shinglesOf(bare: string): Set<string> {
  const words = bare.split(' ');
  return new Set(words.map((_, i) => words.slice(i, i + 5).join(' ')));
}

function overlaps(text: string, said: ReadonlySet<string>): boolean {
  const shingles = [...shinglesOf(bareText(text))].slice(0, -4);
  return shingles.filter((shingle) => said.has(shingle)).length > shingles.length * 0.25;
}
