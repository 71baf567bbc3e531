import type { Announcements, Clock, EventStore, Ids } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Log } from '../domain/telemetry.ts';

/** How often somebody who stands by looks whether the other one goes on; up to twice that, by chance. */
const STAND_BY_MS = 2_000;
const RETRY_MS = { first: 250, longest: 5_000 };

export interface AnnouncerContext {
  readonly store: EventStore;
  readonly announcements: Announcements;
  readonly clock: Clock;
  readonly ids: Pick<Ids, 'random'>;
  readonly log: Log;
}

/**
 * Announces the log's events in order until the signal aborts; never rejects. Of several processes the one that meets
 * the other's announcement stands by, and takes over when that one stops. Where nothing was announced (a new or emptied
 * stream) it goes on after what it knows to have been announced, at its start with the head of the log.
 */
export async function runAnnouncer(ctx: AnnouncerContext, signal: AbortSignal): Promise<void> {
  let place: bigint | null = null;
  let retryMs = RETRY_MS.first;
  let troubled = false;
  while (!signal.aborted) {
    try {
      const last = await ctx.announcements.last();
      place = last ?? place ?? (await ctx.store.head());
      if (troubled) ctx.log.info({ after: place.toString() }, 'events are announced again');
      troubled = false;
      const announced = await announceAll(ctx, place, last, signal, (position) => {
        place = position;
        retryMs = RETRY_MS.first;
      });
      if (!announced) place = (await standBy(ctx, signal)) ?? place;
    } catch (error) {
      if (signal.aborted) return;
      if (!troubled) ctx.log.warn({ err: error }, 'events cannot be announced now: trying again');
      troubled = true;
      await ctx.clock.sleep(retryMs * (0.5 + ctx.ids.random()), signal);
      retryMs = Math.min(retryMs * 2, RETRY_MS.longest);
    }
  }
}

/** Follows the log after `place` until the signal aborts, or until somebody else has announced: then false. */
async function announceAll(
  { store, announcements }: AnnouncerContext,
  place: bigint,
  last: bigint | null,
  signal: AbortSignal,
  onAnnounced: (position: bigint) => void,
): Promise<boolean> {
  let after = last;
  for await (const { events } of store.subscribe(place, { signal })) {
    const newest = events.at(-1);
    if (newest === undefined) continue;
    try {
      await announcements.announce(events, after);
    } catch (error) {
      if (error instanceof Refusal && error.code === 'conflict') return false;
      throw error;
    }
    after = newest.position;
    onAnnounced(after);
  }
  return true;
}

/** Waits while somebody else announces: until the log has gone on and the announcements have not. @returns their end. */
async function standBy(ctx: AnnouncerContext, signal: AbortSignal): Promise<bigint | null> {
  const { store, announcements, clock, ids } = ctx;
  let before = await announcements.last();
  let known = before;
  for (;;) {
    await clock.sleep(STAND_BY_MS * (1 + ids.random()), signal);
    if (signal.aborted) return known;
    const head = await store.head();
    const last = await announcements.last();
    if (last === before && (last === null || last < head)) return known;
    before = last;
    known = last ?? known;
  }
}
