import type { HistoryPart } from '../domain/discussion/lineage.ts';

/** The places of a list that one part of a lineage holds: those above `above`, up to `upTo` (null: all that follow). */
export interface PartRange {
  readonly part: HistoryPart;
  readonly above: number;
  readonly upTo: number | null;
}

/** Places between two others, both exclusive; `below` null: without an end. */
export interface Wanted {
  readonly above: number;
  readonly below: number | null;
  readonly backwards: boolean;
  readonly limit: number;
}

/**
 * A page of a list that runs over the parts of a lineage, the eldest first: one query for each part that the page touches.
 * @param options.after place of the last row seen, exclusive; `backwards` starts from the latest.
 */
export async function pageOverParts<R>(
  ranges: readonly PartRange[],
  options: { after?: number; backwards?: boolean; limit: number },
  read: (part: HistoryPart, wanted: Wanted) => Promise<R[]>,
): Promise<R[]> {
  const { after, backwards = false, limit } = options;
  const rows: R[] = [];
  for (const { part, above, upTo } of backwards ? ranges.toReversed() : ranges) {
    const end = upTo === null ? null : upTo + 1;
    const wanted = {
      above: backwards || after === undefined ? above : Math.max(above, after),
      below: !backwards || after === undefined ? end : end === null ? after : Math.min(end, after),
    };
    if (wanted.below !== null && wanted.below <= wanted.above + 1) continue;
    rows.push(...(await read(part, { ...wanted, backwards, limit: limit - rows.length })));
    if (rows.length >= limit) break;
  }
  return rows;
}
