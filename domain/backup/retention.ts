/** Which backups are kept. */
import type { BackupSummary } from './manifest.ts';

export interface Keep {
  /** The newest so many. */
  readonly count?: number | undefined;
  /** Those younger than so many days. */
  readonly days?: number | undefined;
}

const DAY_MS = 86_400_000;

/**
 * Those that no rule keeps: with both rules a backup goes when both let it go, with none nothing goes. The newest whole
 * backup always stays, and so does everything younger than it: those that are not whole may still be being written.
 */
export function prunable(backups: readonly BackupSummary[], keep: Keep, nowMs: number): BackupSummary[] {
  const { count, days } = keep;
  if (count === undefined && days === undefined) return [];
  const newestFirst = [...backups].sort((a, b) => (a.madeAt > b.madeAt ? -1 : 1));
  const good = newestFirst.filter(({ whole }) => whole);
  const [newestGood] = good;
  if (newestGood === undefined) return [];
  const counted = new Set(count === undefined ? [] : good.slice(0, Math.max(1, count)));
  return newestFirst.slice(newestFirst.indexOf(newestGood) + 1).filter((each) => {
    const young = days !== undefined && nowMs - Date.parse(each.madeAt) <= days * DAY_MS;
    return !counted.has(each) && !(young && each.whole);
  });
}
