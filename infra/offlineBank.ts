import { moves } from './offlineMoves.ts';
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
} from './offlinePhrases.ts';
import { bareText, termsOf } from './offlineWords.ts';

/** The bank's own words: picking them up from another offline agent would quote nobody. */
export const bankText = bareText(
  [
    ...openings,
    ...plainOpenings,
    ...Object.values(replies).flat(),
    ...plainReplies,
    ...summaries,
    ...quoteIntroductions,
    ...closeIntroductions,
    ...distantIntroductions,
    ...Object.values(readings).flat(),
    ...topicPoints,
    ...plainPoints,
    ...Object.values(moves).flatMap((byPhase) => Object.values(byPhase).flat()),
  ]
    .join(' | ')
    .replace(/\{\w+\}/g, '|'),
);

export const bankTerms: ReadonlySet<string> = new Set(termsOf(bankText));

/** Sentences of another offline agent would otherwise steer the search with words that nobody chose. */
export function withoutBank(text: string): string {
  return text
    .split(/[“”"]|(?<=[.!?])\s/)
    .filter((piece) => !bankText.includes(bareText(piece)))
    .join(' ');
}

/** Whether an offline agent wrote the text: one of its longer pieces outside quotes is the bank's. */
export function isFromBank(text: string): boolean {
  return text
    .replace(/“[^”]*”/g, '|')
    .split(/[|:]|(?<=[.!?])\s/)
    .map(bareText)
    .some((piece) => piece.length > 18 && bankText.includes(piece));
}
