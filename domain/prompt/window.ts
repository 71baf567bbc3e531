import type { MessageMark } from '../discussion/state.ts';

/**
 * Which messages a prompt shows: at most `budgetTokens`, at least half of that. Its start moves in steps of half the
 * budget, because a model's server reuses what it has read of a prompt only as far as the beginning stays the same.
 * @returns revisions, both inclusive; null when nothing was said yet.
 */
export function windowOf(marks: readonly MessageMark[], budgetTokens: number): { from: number; to: number } | null {
  const last = marks.at(-1);
  if (last === undefined) return null;
  const step = Math.max(1, Math.floor(budgetTokens / 2));
  const cut = Math.max(0, Math.ceil((last.endsAt - budgetTokens) / step)) * step;
  const first = marks.find((mark) => mark.startsAt >= cut) ?? last;
  return { from: first.revision, to: last.revision };
}
