import { streamId } from '../domain/envelope.ts';
import type { Table } from './projection.ts';

/**
 * An attempt that a worker has claimed and that has not ended. Its turn may have: a cancelled turn's attempt stays here
 * until its tokens are settled, so that the sweeper finds it should its worker have died.
 */
export type ClaimRow = {
  key: string;
  turnId: string;
  attempt: number;
  discussionId: string;
  project: string;
  worker: string;
  incarnation: string;
  /** Revision of the claim. */
  fence: number;
  leaseMs: number;
  /** Tokens set aside. */
  reserved: number;
  claimedAt: string;
};

export const claimsTable: Table<ClaimRow> = {
  name: 'turns_claims',
  columns: {
    key: 'text',
    turnId: 'text',
    attempt: 'integer',
    discussionId: 'text',
    project: 'text',
    worker: 'text',
    incarnation: 'text',
    fence: 'integer',
    leaseMs: 'count',
    reserved: 'count',
    claimedAt: 'time',
  },
  key: 'key',
  indexes: [{ name: 'by_worker', on: ['worker'] }],
  creates: ['TurnClaimed'],
  keysOf(event) {
    // A participant's own answer has no model and was never claimed.
    const claimed =
      event.type === 'TurnClaimed' ||
      event.type === 'TurnAttemptAbandoned' ||
      (event.type === 'TurnCompleted' && event.data.model !== null);
    return claimed ? [`${event.data.turnId}/${event.data.attempt}`] : [];
  },
  evolve(_row, event, key) {
    if (event.type !== 'TurnClaimed') return null;
    const { turnId, attempt, worker, incarnation, leaseMs, reserved } = event.data;
    return {
      key,
      turnId,
      attempt,
      discussionId: streamId(event.stream),
      project: event.metadata.project,
      worker,
      incarnation,
      fence: event.revision,
      leaseMs,
      reserved,
      claimedAt: event.metadata.occurredAt,
    };
  },
};
