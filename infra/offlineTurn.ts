import { choosePassage, wantedTerms, type Chosen } from './offlineChoice.ts';
import type { DocumentIndex } from './offlineIndex.ts';
import type { OfflineMaterial } from './offlineMaterial.ts';
import { moves, phases, type Phase } from './offlineMoves.ts';
import {
  closeIntroductions,
  distantIntroductions,
  openings,
  plainOpenings,
  plainPoints,
  plainReplies,
  quoteIntroductions,
  readings,
  replies,
  summaries,
  topicPoints,
  type Phrases,
} from './offlinePhrases.ts';
import type { Situation } from './offlineSituation.ts';
import { slotsOf, type FilledSlots } from './offlineSlots.ts';
import { stanceOf, stanceTraits, type ReplyKind } from './offlineStances.ts';
import { bareText, hashOf, shuffled } from './offlineWords.ts';

/**
 * What the offline agent says: two to four sentences. A pure function of its arguments: the same prompt and seed give the
 * same text. Other people's words appear between “ and ” only, nothing of them is followed.
 */
export function composeTurn(material: OfflineMaterial, index: DocumentIndex, seed: number, promptHash: string): string {
  const stance = stanceOf(material.name, material.instructions);
  const situation: Situation = {
    material,
    stance,
    phase: phaseOf(material),
    saidBare: material.said.map(({ text }) => bareText(text)).join(' | '),
    variant: hashOf(`${seed} ${promptHash}`),
    key: `${seed} ${hashOf(material.title + material.topic)}`,
  };
  const wanted = wantedTerms(situation);
  const chosen = choosePassage(situation, index, wanted);
  const slots = slotsOf(situation, index, wanted, chosen?.passage ?? null);
  const lead = replyTo(situation, slots);
  const point = chosen ? quoteSentences(situation, chosen, slots) : topicSentences(situation, slots);
  const move = say(situation, `move ${stance} ${situation.phase}`, moves[stance][situation.phase], slots);
  return arranged(situation, lead, point, move);
}

/** Rounds, not turns: with many participants everyone gets to open. After four rounds it goes round the later ones. */
function phaseOf({ participants, said, turn }: OfflineMaterial): Phase {
  const size = Math.max(2, participants.length || new Set(said.map(({ author }) => author)).size);
  const round = Math.floor((turn - 1) / size);
  return phases[round < 4 ? round : 1 + ((round - 1) % 3)] ?? 'examining';
}

function replyTo(situation: Situation, slots: FilledSlots): string {
  const { stance, phase, variant } = situation;
  if (slots.who === null) return say(situation, 'open', slots.term === null ? plainOpenings : openings, slots);
  if (slots.question !== null)
    return say(situation, 'answer', replies.answer, { ...slots, theirs: slots.question ?? null });
  if (slots.theirs === null) return say(situation, 'plain reply', plainReplies, slots);
  if (stance === 'moderator' && slots.others !== null && slots.others !== slots.theirs)
    return say(situation, 'summary', summaries, slots);
  const kinds = stanceTraits[stance].replies;
  const usual = kinds[(variant >>> 5) % kinds.length] ?? 'add';
  const kind: ReplyKind = phase === 'concluding' && variant % 3 !== 0 ? 'concede' : usual;
  return say(situation, kind, replies[kind], slots);
}

function quoteSentences(situation: Situation, { passage, close }: Chosen, slots: FilledSlots): string[] {
  const later = close ? [...quoteIntroductions, ...closeIntroductions] : distantIntroductions;
  const introduction = situation.phase === 'opening' ? quoteIntroductions : later;
  const reading = readings[passage.kind].filter((each) => slots.clause !== null || !each.includes('{clause}'));
  return [
    say(situation, close ? 'quote' : 'distant', introduction, slots),
    say(situation, `reading ${passage.kind}`, [...reading, ...(reading.length < 3 ? readings.plain : [])], slots),
  ];
}

function topicSentences(situation: Situation, slots: FilledSlots): string[] {
  return [say(situation, 'point', slots.term === null ? plainPoints : topicPoints, slots)];
}

/** A sentence of the bank that was not used as far as the prompt shows, or the one used longest ago. */
function say({ material, saidBare, key }: Situation, bank: string, phrases: Phrases, slots: FilledSlots): string {
  const fitting = phrases.filter((phrase) => [...phrase.matchAll(/\{(\w+)\}/g)].every(([, slot]) => slots[slot ?? '']));
  const order = shuffled(
    fitting.length > 0 ? fitting : phrases.filter((phrase) => !phrase.includes('{')),
    `${key} ${bank}`,
  );
  const start = material.turn % Math.max(1, order.length);
  const ranked = [...order.slice(start), ...order.slice(0, start)]
    .map((phrase) => ({ phrase, usedAt: saidBare.lastIndexOf(landmark(phrase)) }))
    .sort((a, b) => a.usedAt - b.usedAt);
  const filled = (ranked[0]?.phrase ?? '').replace(/\{(\w+)\}/g, (_, slot: string) => slots[slot] ?? '');
  return filled.replace(/([?!…？！。]”)[.;]/, '$1').replace(/s’s\b/g, 's’');
}

/** The longest part of a phrase between its slots: by it the phrase is found again in what was said. */
function landmark(phrase: string): string {
  return phrase
    .split(/\{\w+\}/)
    .map(bareText)
    .reduce((longest, part) => (part.length > longest.length ? part : longest), '');
}

/** Order and length vary; instructions may ask for brevity. */
function arranged({ material, phase, variant }: Situation, lead: string, point: string[], move: string): string {
  const brief = /\b(?:brief\w*|short\w*|concise\w*|one sentence|two sentences|terse\w*)\b/i.test(material.instructions);
  const [first = '', ...rest] = point;
  const shape = (variant >>> 9) % 6;
  if (brief) return joined([lead, shape % 2 === 0 ? first : move]);
  if (phase === 'concluding' && shape === 1) return joined([lead, first, move]);
  if (shape === 2 && rest.length > 0) return joined([lead, first, move]);
  return joined([lead, first, ...rest, move]);
}

function joined(sentences: readonly string[]): string {
  return sentences.filter((sentence) => sentence !== '').join(' ');
}
