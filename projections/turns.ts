import type { Chain } from '../domain/discussion/chain.ts';
import type { DiscussionEventData, Why } from '../domain/discussion/events.ts';
import { streamId } from '../domain/envelope.ts';
import type { StopReason } from '../domain/model.ts';
import { claimsTable } from './claims.ts';
import { openTurnsTable } from './openTurns.ts';
import { timeAfter, type LogEvent, type Projection, type Table } from './projection.ts';

export type TurnAttempt = {
  attempt: number;
  /** Null where a participant answered by a message. */
  worker: string | null;
  incarnation: string | null;
  claimedAt: string | null;
  /** Revision of the claim. */
  fence: number | null;
  reserved: number;
  leaseMs: number | null;
  promptSha256: string | null;
  /** Who was asked. */
  model: { provider: string; name: string } | null;
  /** Which fall-back of the agent this was, from 1, and why; null for the agent's own model. */
  fallback: { index: number; reason: 'failed' | 'circuit_open' } | null;
  endedAt: string | null;
  reason: StopReason | null;
  detail: string | null;
  partial: string | null;
  usage: DiscussionEventData<'TurnCompleted'>['usage'] | null;
};

export type TurnRow = {
  /** `<discussionId>/<turnId>`: a fork ends the turn that was open in its parent, and the parent does not. */
  key: string;
  turnId: string;
  discussionId: string;
  project: string;
  number: number;
  participantId: string;
  answeredBy: 'model' | 'participant';
  status: 'requested' | 'claimed' | 'retrying' | 'completed' | 'failed' | 'skipped' | 'cancelled';
  why: Why;
  attempts: readonly TurnAttempt[];
  /** Why it failed, was skipped or cancelled. */
  endReason: string | null;
  endDetail: string | null;
  messageId: string | null;
  provider: string | null;
  model: string | null;
  dueAt: string | null;
  answerBy: string | null;
  revision: number;
  position: string;
  requestedAt: string;
  endedAt: string | null;
};

type TurnEvent = Extract<LogEvent, { data: { turnId: string } }>;

export const turnsTable: Table<TurnRow> = {
  name: 'turns',
  columns: {
    key: 'text',
    turnId: 'text',
    discussionId: 'text',
    project: 'text',
    number: 'integer',
    participantId: 'text',
    answeredBy: 'text',
    status: 'text',
    why: 'json',
    attempts: 'json',
    endReason: 'text',
    endDetail: 'text',
    messageId: 'text',
    provider: 'text',
    model: 'text',
    dueAt: 'time',
    answerBy: 'time',
    revision: 'integer',
    position: 'position',
    requestedAt: 'time',
    endedAt: 'time',
  },
  key: 'key',
  indexes: [{ name: 'by_discussion', on: ['discussionId', 'number'], unique: true }],
  creates: ['TurnRequested', 'DiscussionForked'],
  keysOf(event) {
    if (event.type === 'DiscussionForked') return event.data.turn === null ? [] : [turnKey(event, event.data.turn)];
    return 'turnId' in event.data ? [turnKey(event, (event as TurnEvent).data)] : [];
  },
  evolve(row, event) {
    if (event.type === 'DiscussionForked') return event.data.turn === null ? row : takenOver(event, event.data.turn);
    if (!('turnId' in event.data)) return row;
    if (event.type === 'TurnRequested') return requested(event, event.data);
    if (row === null) throw new Error(`${event.type} of a turn that was never requested`);
    return {
      ...row,
      ...changes(row, event as TurnEvent),
      revision: event.revision,
      position: event.position.toString(),
    };
  },
};

export const turns: Projection = {
  name: 'turns',
  schemaVersion: 3,
  tables: [turnsTable, openTurnsTable, claimsTable],
  streamLocal: true,
};

function turnKey(event: LogEvent, { turnId }: { turnId: string }): string {
  return `${streamId(event.stream)}/${turnId}`;
}

type Inherited = NonNullable<DiscussionEventData<'DiscussionForked'>['turn']>;

/** The parent's open turn, as its fork has it: the attempts at it stand in the parent. */
function takenOver(event: LogEvent, turn: Inherited): TurnRow {
  return { ...requested(event, turn), requestedAt: turn.requestedAt };
}

function requested(event: LogEvent, turn: DiscussionEventData<'TurnRequested'> | Inherited): TurnRow {
  const { turnId, number, participantId, answeredBy, why } = turn;
  const answerWithinMs = ('answerWithinMs' in turn ? turn.answerWithinMs : null) ?? null;
  return {
    key: turnKey(event, turn),
    turnId,
    discussionId: streamId(event.stream),
    project: event.metadata.project,
    number,
    participantId,
    answeredBy,
    status: 'requested',
    why,
    attempts: [],
    endReason: null,
    endDetail: null,
    messageId: null,
    provider: null,
    model: null,
    dueAt: null,
    answerBy: answerWithinMs === null ? null : timeAfter(event, answerWithinMs),
    revision: event.revision,
    position: event.position.toString(),
    requestedAt: timeAfter(event, 0),
    endedAt: null,
  };
}

function changes(row: TurnRow, event: TurnEvent): Partial<TurnRow> {
  switch (event.type) {
    case 'TurnClaimed': {
      const { provider, name } = event.data.prompt.model;
      return { status: 'claimed', dueAt: null, provider, model: name, attempts: [...row.attempts, claimed(event)] };
    }
    case 'TurnAttemptAbandoned': {
      const { attempt, reason, detail, partial, usage, retryAfterMs } = event.data;
      const end = { endedAt: timeAfter(event, 0), reason, detail, partial: partial ?? null, usage };
      const attempts = row.attempts.map((each) => (each.attempt === attempt ? { ...each, ...end } : each));
      // A cancelled turn's attempt is settled later: that does not open the turn again.
      if (row.endedAt !== null) return { attempts };
      return { status: 'retrying', attempts, dueAt: retryAfterMs === null ? null : timeAfter(event, retryAfterMs) };
    }
    case 'TurnCompleted':
      return {
        ...ended(event, 'completed'),
        messageId: event.data.messageId,
        attempts: completed(row.attempts, event),
      };
    case 'TurnFailed':
      return { ...ended(event, 'failed'), endReason: event.data.reason, endDetail: event.data.detail };
    case 'TurnSkipped':
      return { ...ended(event, 'skipped'), endReason: event.data.reason };
    case 'TurnCancelled':
      return { ...ended(event, 'cancelled'), endReason: event.data.reason };
    default:
      return {};
  }
}

function ended(event: TurnEvent, status: TurnRow['status']): Partial<TurnRow> {
  return { status, dueAt: null, endedAt: timeAfter(event, 0) };
}

const unclaimed: Omit<TurnAttempt, 'attempt'> = {
  worker: null,
  incarnation: null,
  claimedAt: null,
  fence: null,
  reserved: 0,
  leaseMs: null,
  promptSha256: null,
  model: null,
  fallback: null,
  endedAt: null,
  reason: null,
  detail: null,
  partial: null,
  usage: null,
};

function claimed(event: Extract<LogEvent, { type: 'TurnClaimed' }>): TurnAttempt {
  const { attempt, worker, incarnation, reserved, leaseMs, prompt, chain } = event.data;
  const { provider, name } = prompt.model;
  const claim = {
    claimedAt: timeAfter(event, 0),
    fence: event.revision,
    promptSha256: prompt.sha256,
    model: { provider, name },
    fallback: fallbackOf(chain),
  };
  return { ...unclaimed, attempt, worker, incarnation, reserved, leaseMs, ...claim };
}

function fallbackOf(chain: Chain | undefined): TurnAttempt['fallback'] {
  return chain?.reason === undefined ? null : { index: chain.index, reason: chain.reason };
}

function completed(
  attempts: readonly TurnAttempt[],
  event: Extract<LogEvent, { type: 'TurnCompleted' }>,
): readonly TurnAttempt[] {
  const { attempt, finishReason, usage } = event.data;
  const before = attempts.find((each) => each.attempt === attempt) ?? { ...unclaimed, attempt };
  const end = { ...before, endedAt: timeAfter(event, 0), reason: finishReason, usage };
  return [...attempts.filter((each) => each !== before), end];
}
