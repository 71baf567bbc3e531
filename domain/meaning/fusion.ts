/** One order out of several, where scores cannot be compared but places can. */
import type { PassageHit } from './vectorIndex.ts';

/** How much less a first place counts than it could: so that one list's favourite does not outweigh what all lists found. */
const SMOOTHING = 60;

/**
 * Fuses lists by reciprocal rank (Cormack, Clarke and Büttcher, SIGIR 2009): a passage counts 1 / (60 + place) in each
 * list that has it.
 * @param lists each with its best first and no passage twice.
 * @returns the `limit` best with what they count as their score; those that count the same by passage id.
 */
export function fuse(lists: readonly (readonly PassageHit[])[], limit: number): PassageHit[] {
  const fused = new Map<string, PassageHit>();
  for (const hits of lists)
    hits.forEach(({ passage }, place) => {
      const before = fused.get(passage.passageId);
      const score = (before?.score ?? 0) + 1 / (SMOOTHING + place + 1);
      fused.set(passage.passageId, { passage: before?.passage ?? passage, score });
    });
  const byScore = (a: PassageHit, b: PassageHit): number =>
    b.score - a.score || (a.passage.passageId < b.passage.passageId ? -1 : 1);
  return [...fused.values()].sort(byScore).slice(0, limit);
}
