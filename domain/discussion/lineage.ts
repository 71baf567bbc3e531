/** What a discussion has of those it was forked from. */
import type { DiscussionEventData } from './events.ts';
import type { Ancestor, ExistingDiscussion } from './state.ts';

/**
 * What a fork changes of the state it goes on from. Attempts under way stay the parent's: only there are they settled, so
 * that their tokens are counted once. Pauses, ends and failures in a row are left behind.
 */
export function inherited(state: ExistingDiscussion, data: DiscussionEventData<'DiscussionForked'>) {
  const { projectId, nonce, title, topic, policy, limits, priority, participants, offset, ancestors } = data;
  const { from: discussionId, revision, prefixHash } = data;
  return {
    ...{ projectId, nonce, title, topic, policy, limits, priority, participants, offset, ancestors },
    forkedFrom: { discussionId, revision, prefixHash },
    turn: state.turn === null ? null : { ...state.turn, claim: null },
    unsettled: [],
    failuresInRow: 0,
    skipsInRow: 0,
  };
}

/** One stream's part in a discussion's history. */
export interface HistoryPart {
  readonly discussionId: string;
  /** Events that stand before its first one in the lineage. */
  readonly offset: number;
  /** The last revision that counts; null for the discussion's own stream. */
  readonly until: number | null;
  /** Turns with a number above this one, up to `turns`, stand in it; null: all that follow. */
  readonly turnsAfter: number;
  readonly turns: number | null;
}

/** The streams that hold a discussion's history, the eldest first and its own last. */
export function partsOf(discussionId: string, ancestors: readonly Ancestor[]): HistoryPart[] {
  let [offset, turnsAfter] = [0, 0];
  const parts = ancestors.map(({ discussionId: id, revision, turns }): HistoryPart => {
    const part = { discussionId: id, offset, until: revision, turnsAfter, turns };
    offset += revision + 1;
    turnsAfter = turns;
    return part;
  });
  return [...parts, { discussionId, offset, until: null, turnsAfter, turns: null }];
}
