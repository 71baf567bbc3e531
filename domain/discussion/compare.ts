/** How two discussions that share a beginning differ. */
import { canonicalJson } from '../codec.ts';
import type { Participant } from './events.ts';
import type { HistoryPart } from './lineage.ts';
import type { ExistingDiscussion, Speaker } from './state.ts';

/** The last event that two discussions share. */
export interface CommonPoint {
  readonly discussionId: string;
  readonly revision: number;
  /** Its place in both lineages. */
  readonly index: number;
}

/** Where two histories part; null when they share nothing, or are one and the same. */
export function commonPoint(here: readonly HistoryPart[], there: readonly HistoryPart[]): CommonPoint | null {
  let shared: CommonPoint | null = null;
  for (const [i, one] of here.entries()) {
    const other = there[i];
    if (other?.discussionId !== one.discussionId) break;
    const revision = Math.min(one.until ?? Infinity, other.until ?? Infinity);
    if (revision === Infinity) return null;
    shared = { discussionId: one.discussionId, revision, index: one.offset + revision };
    if (one.until !== other.until) break;
  }
  return shared;
}

/** A value on both sides. */
export interface Both<T> {
  readonly here: T;
  readonly there: T;
}

/** Null or empty for what is the same. */
export interface Differences {
  readonly title: Both<string> | null;
  readonly policy: Both<ExistingDiscussion['policy']> | null;
  readonly limits: Both<ExistingDiscussion['limits']> | null;
  /** Who takes part on one side only (null on the other), or with another agent or version. */
  readonly participants: readonly ({ readonly participantId: string } & Both<Participant | null>)[];
}

/** What was set otherwise, as both are now. */
export function differences(here: ExistingDiscussion, there: ExistingDiscussion): Differences {
  const [ours, theirs] = [presentById(here), presentById(there)];
  const ids = [...new Set([...ours.keys(), ...theirs.keys()])];
  const participants = ids.map((participantId) => ({
    participantId,
    here: ours.get(participantId) ?? null,
    there: theirs.get(participantId) ?? null,
  }));
  return {
    title: unlessEqual(here.title, there.title),
    policy: unlessEqual(here.policy, there.policy),
    limits: unlessEqual(here.limits, there.limits),
    participants: participants.filter((each) => unlessEqual(each.here, each.there) !== null),
  };
}

function unlessEqual<T>(here: T, there: T): Both<T> | null {
  return canonicalJson(here) === canonicalJson(there) ? null : { here, there };
}

function presentById({ participants }: ExistingDiscussion): Map<string, Participant> {
  const asJoined = ({ left: _left, lastTurn: _lastTurn, ...each }: Speaker): Participant => each;
  return new Map(participants.filter(({ left }) => !left).map((each) => [each.participantId, asJoined(each)]));
}
