import type { Knex } from 'knex';
import type { RecordedEvent } from '../domain/envelope.ts';
import type { Clock, EventStore } from '../domain/ports.ts';
import { checkLineage, loadMembers, type Member } from './checkpoints.ts';
import { foldBatch, type FoldedBatch, type FoldOptions } from './foldBatch.ts';
import type { RowCache } from './rowCache.ts';
import { causedByData, writeBatch } from './writeBatch.ts';

const MAX_BACK_OFF_MS = 5_000;
/** Longest that a runner which lost a race lets the other one go first. */
const MAX_GIVE_WAY_MS = 250;

export interface TrackOptions {
  readonly knex: Knex;
  readonly store: EventStore;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The checkpoint of some member has moved, by this runner or another. */
  readonly onApplied: () => void;
  readonly onFault: (error: unknown) => void;
  /** This member's checkpoint stands before events that were handed over already, or it is paused: it has left the track. */
  readonly onBehind: (member: Member) => void;
  /** What is stored elsewhere before the rows are written; may come twice. Rejects to be tried again. */
  readonly beside?: StoreBeside;
}

/** @returns the batches as they are to be written: with a dead letter for each event that cannot be stored. */
export type StoreBeside = (batches: readonly FoldedBatch[]) => Promise<readonly FoldedBatch[]>;

/** Stores what belongs elsewhere, then writes rows and checkpoints. @returns as `writeBatch`. */
export async function write({ knex, beside }: TrackOptions, batches: readonly FoldedBatch[]): Promise<boolean> {
  return writeBatch(knex, beside === undefined ? batches : await beside(batches));
}

/** What the functions that bring events into the tables work on. */
export interface TrackState extends TrackOptions {
  readonly members: Member[];
  readonly cache: RowCache;
  /** Races for a checkpoint lost in a row to another runner. */
  racesLost: number;
}

/** Events that follow position `after`, and whom they are for. */
export interface Work {
  readonly events: readonly RecordedEvent[];
  readonly after: bigint;
  readonly who: readonly Member[];
  readonly poison?: FoldOptions['poison'];
}

/** Milliseconds to wait after so many failures in a row. */
export function backOffMs(failures: number): number {
  return Math.min(MAX_BACK_OFF_MS, 50 * 2 ** Math.min(failures, 10));
}

/**
 * Applies events, starting from what the database holds, whatever it takes: until they are applied, by this runner or
 * another, or the signal aborts. An event that PostgreSQL does not take ends as a dead letter.
 */
export async function persist(track: TrackState, work: Work): Promise<void> {
  for (let failures = 0; !track.signal.aborted;) {
    try {
      await reload(track, work.after);
      // A log restored under a running process shows first as a lost connection.
      if (failures > 0) await checkLineage(track.store, track.members);
      const there = work.who.filter((member) => track.members.includes(member));
      const batches = await foldAll(track, { ...work, who: there });
      if (batches.length === 0) return;
      if (await write(track, batches)) {
        track.racesLost = 0;
        foldedUpTo(batches);
        return committed(track, batches);
      }
      track.racesLost += 1;
      await giveWay(track);
    } catch (error) {
      if (causedByData(error) && work.poison === undefined) return isolate(track, work, error);
      track.onFault(error);
      await track.clock.sleep(backOffMs(failures), track.signal);
      failures += 1;
    }
  }
}

/** Halves the work until the event and the read model are found that PostgreSQL does not take: its stream is parked. */
async function isolate(track: TrackState, { events, after, who }: Work, error: unknown): Promise<void> {
  const [first] = events;
  if (first === undefined) return;
  if (events.length > 1) {
    const half = events.slice(0, Math.ceil(events.length / 2));
    await persist(track, { events: half, after, who });
    return persist(track, { events: events.slice(half.length), after: half.at(-1)?.position ?? after, who });
  }
  if (who.length > 1) {
    for (const member of who) await persist(track, { events, after, who: [member] });
    return;
  }
  const message = error instanceof Error ? error.message : 'PostgreSQL does not take its row';
  return persist(track, { events, after, who, poison: { eventId: first.id, error: message } });
}

/** Folds the work for each of its members; `before` are the batches whose write is under way. */
export async function foldAll(
  { knex, cache }: TrackState,
  { events, who, poison }: Work,
  before: readonly FoldedBatch[] = [],
): Promise<FoldedBatch[]> {
  const batches: FoldedBatch[] = [];
  for (const member of who) {
    const earlier = before.find((each) => each.member === member);
    const batch = await foldBatch(member, events, { knex, cache, before: earlier, ...(poison ? { poison } : {}) });
    if (batch) batches.push(batch);
  }
  return batches;
}

/** Moves the members' places in memory ahead of their checkpoints. */
export function foldedUpTo(batches: readonly FoldedBatch[]): void {
  for (const { member, last, deadLetters } of batches) {
    member.folded = last.position;
    for (const { event } of deadLetters) member.parked.add(event.stream);
  }
}

/** Takes note that batches are written. */
export function committed(track: TrackState, batches: readonly FoldedBatch[]): void {
  for (const { member, last, rows } of batches) {
    const { id, stream, revision } = last;
    member.checkpoint = { ...member.checkpoint, position: last.position, event: { id, stream, revision } };
    for (const table of member.projection.tables)
      if (!table.once) for (const [key, row] of rows.get(table.name) ?? []) track.cache.set(table.name, key, row);
  }
  track.onApplied();
}

/**
 * Looks whether the database still holds what this runner wrote last, when there is nothing to apply. A server that
 * crashed may have lost the last commits, a rebuild may have swapped versions: without news nobody would notice.
 */
export async function checkUnmoved(track: TrackState, after: bigint): Promise<void> {
  try {
    const fresh = await loadMembers(
      track.knex,
      track.members.map((member) => member.projection),
    );
    const unmoved = track.members.every(({ projection, checkpoint: ours }) => {
      const theirs = fresh.find((each) => each.projection === projection)?.checkpoint;
      return theirs?.version === ours.version && theirs.epoch === ours.epoch && theirs.position === ours.position;
    });
    if (!unmoved) await reload(track, after);
  } catch (error) {
    track.onFault(error);
  }
}

/** Takes over what the database holds, since another runner may have written it. */
async function reload(track: TrackState, after: bigint): Promise<void> {
  const { members } = track;
  const projections = members.map((member) => member.projection);
  const fresh = await loadMembers(track.knex, projections);
  track.cache.clear();
  for (const now of fresh) {
    const member = members.find((each) => each.projection === now.projection);
    if (member) Object.assign(member, now);
  }
  for (const member of members.filter((each) => each.folded < after || each.paused)) {
    members.splice(members.indexOf(member), 1);
    track.onBehind(member);
  }
  track.onApplied();
}

/**
 * Who lost a race lets the winner go first for a while: with two runners at every event, half of all folding would be
 * for nothing. Who wins waits for nobody, so a runner that is left alone is back at full speed after one batch.
 */
export async function giveWay({ clock, racesLost, signal }: TrackState): Promise<void> {
  await clock.sleep(Math.min(MAX_GIVE_WAY_MS, 10 * 2 ** Math.min(racesLost - 1, 10)), signal);
}
