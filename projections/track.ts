import type { RecordedEvent } from '../domain/envelope.ts';
import type { Member } from './checkpoints.ts';
import type { FoldedBatch } from './foldBatch.ts';
import {
  checkUnmoved,
  committed,
  foldAll,
  foldedUpTo,
  giveWay,
  persist,
  write,
  type TrackOptions,
  type TrackState,
} from './persist.ts';
import { createRowCache } from './rowCache.ts';
import { causedByData } from './writeBatch.ts';

/** Rows kept in memory per table. */
const CACHED_ROWS = 4_096;

/** Read models that are kept up to date together, one statement for each batch of events. */
export interface Track {
  readonly members: Member[];
  /**
   * Applies events, the first of which follows position `after`. Resolves when they are folded and their write is under
   * way: the next batch is folded meanwhile. What fails is tried again until it succeeds or the signal aborts.
   */
  push(events: readonly RecordedEvent[], after: bigint): Promise<void>;
  /** Resolves when nothing is under way any more. */
  flush(): Promise<void>;
  /** Compares the checkpoints with those in the database; to be called when idle. `after` as for `push`. */
  check(after: bigint): Promise<void>;
}

interface Write {
  readonly events: readonly RecordedEvent[];
  readonly after: bigint;
  readonly batches: readonly FoldedBatch[];
  readonly outcome: Promise<'applied' | 'lost' | { readonly error: unknown }>;
}

/** @param members the read models it begins with; it may lose some (`onBehind`), and others may be added. */
export function createTrack(options: TrackOptions, members: Member[]): Track {
  const track: TrackState = { ...options, members, cache: createRowCache(CACHED_ROWS), racesLost: 0 };
  let underWay: Write | null = null;

  /** @returns whether the write that was under way succeeded at once. */
  async function settle(): Promise<boolean> {
    if (underWay === null) return true;
    const { events, after, batches, outcome } = underWay;
    underWay = null;
    const result = await outcome;
    if (result === 'applied') {
      committed(track, batches);
      return true;
    }
    if (result === 'lost') {
      track.racesLost += 1;
      await giveWay(track);
    } else if (!causedByData(result.error)) track.onFault(result.error);
    await persist(track, { events, after, who: [...members] });
    return false;
  }

  async function push(events: readonly RecordedEvent[], after: bigint): Promise<void> {
    const work = { events, after, who: [...members] };
    if (track.racesLost > 0) {
      await settle();
      await giveWay(track);
      return persist(track, work);
    }
    let batches: FoldedBatch[] | null = null;
    try {
      batches = await foldAll(track, work, underWay?.batches);
    } catch (error) {
      if (!causedByData(error)) track.onFault(error);
    }
    // Folded upon rows that were never written, or not folded at all: once more, from what the database holds.
    if (!(await settle()) || batches === null) return persist(track, work);
    if (batches.length === 0) return;
    foldedUpTo(batches);
    const outcome = write(track, batches).then(
      (applied) => (applied ? ('applied' as const) : ('lost' as const)),
      (error: unknown) => ({ error }),
    );
    underWay = { events, after, batches, outcome };
  }

  return {
    members,
    push,
    flush: async () => void (await settle()),
    async check(after) {
      if (await settle()) await checkUnmoved(track, after);
    },
  };
}
