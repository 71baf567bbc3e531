/** Finds the last of our events: EventStoreDB's client reads $all backwards without a filter only. */
import { END, type ReadPosition, type ResolvedEvent } from '@eventstore/db-client';

/** Backward pages: small at first, since the head mostly is among the last events. */
const PAGE_EVENTS = { first: 32, most: 4_096 };

/** Reads at most `count` events of $all down from a position, until `take` says false. */
export type ReadBack = (from: ReadPosition, count: number, take: (event: ResolvedEvent) => boolean) => Promise<void>;

interface Search {
  from: ReadPosition;
  /** Commit position of the last event of all. */
  top: bigint | null;
  found: number | null;
}

/**
 * Answers the position of the last of our events, 0 for none. What was looked at once is not looked at again, however
 * many events of others come behind ours; only the first search may have to go far.
 * @param ours the position of an event that is ours, else null.
 */
export function createHeadSearch(
  readBack: ReadBack,
  ours: (event: ResolvedEvent) => number | null,
): () => Promise<number> {
  let looked = { top: 0n, last: 0 };
  return async () => {
    const known = looked;
    const search: Search = { from: END, top: null, found: null };
    for (let count = PAGE_EVENTS.first; search.found === null; count = Math.min(count * 4, PAGE_EVENTS.most)) {
      let seen = 0;
      await readBack(search.from, count, (event) => {
        const place = placeOf(event);
        seen += 1;
        search.from = place;
        search.top ??= place.commit;
        search.found = ours(event);
        // A log that is shorter than it was has been restored: then nothing is known of it.
        if (place.commit <= known.top && search.top >= known.top) search.found ??= known.last;
        return search.found === null;
      });
      if (seen < count) search.found ??= 0;
    }
    const top = search.top ?? 0n;
    if (top >= looked.top || top < known.top) looked = { top, last: search.found };
    return search.found;
  };
}

function placeOf({ commitPosition, event, link }: ResolvedEvent): { commit: bigint; prepare: bigint } {
  const commit = commitPosition ?? 0n;
  return (link ?? event)?.position ?? { commit, prepare: commit };
}
