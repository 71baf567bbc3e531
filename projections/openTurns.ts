import { streamId, streamKind } from '../domain/envelope.ts';
import { timeAfter, type LogEvent, type Table } from './projection.ts';

/**
 * What workers and the sweeper look for, apart from the history of turns: one row per discussion with its open turn, if
 * any, gone when the discussion has ended. So a pause is one row's change, and picking never looks at ended turns.
 */
export type OpenTurnRow = {
  discussionId: string;
  project: string;
  priority: number;
  paused: boolean;
  turnId: string | null;
  number: number | null;
  participantId: string | null;
  answeredBy: 'model' | 'participant' | null;
  status: 'requested' | 'claimed' | 'retrying' | null;
  /** Attempts so far. */
  attempts: number;
  /** When the next attempt may start; null while there is none to start. */
  dueAt: string | null;
  /** When a participant's turn is skipped. */
  answerBy: string | null;
  requestedPosition: string | null;
};

const noTurn = {
  turnId: null,
  number: null,
  participantId: null,
  answeredBy: null,
  status: null,
  attempts: 0,
  dueAt: null,
  answerBy: null,
  requestedPosition: null,
};

export const openTurnsTable: Table<OpenTurnRow> = {
  name: 'turns_open',
  columns: {
    discussionId: 'text',
    project: 'text',
    priority: 'integer',
    paused: 'boolean',
    turnId: 'text',
    number: 'integer',
    participantId: 'text',
    answeredBy: 'text',
    status: 'text',
    attempts: 'integer',
    dueAt: 'time',
    answerBy: 'time',
    requestedPosition: 'position',
  },
  key: 'discussionId',
  indexes: [
    {
      name: 'waiting',
      on: ['priority', 'requestedPosition'],
      where: `status in ('requested', 'retrying') and answered_by = 'model' and not paused`,
    },
    { name: 'answer_by', on: ['answerBy'], where: 'answer_by is not null' },
  ],
  creates: ['DiscussionOpened', 'DiscussionForked'],
  keysOf: (event) => (streamKind(event.stream) === 'discussion' ? [streamId(event.stream)] : []),
  evolve(row, event, discussionId) {
    // A turn that was open when a fork was made is cancelled in the fork at once.
    if (event.type === 'DiscussionOpened' || event.type === 'DiscussionForked') {
      const { projectId, priority } = event.data;
      return { ...noTurn, discussionId, project: projectId, priority, paused: false };
    }
    // An ended discussion: what comes late for its last turn changes nothing here.
    if (row === null) return null;
    return next(row, event);
  },
};

function next(row: OpenTurnRow, event: LogEvent): OpenTurnRow | null {
  switch (event.type) {
    case 'TurnRequested': {
      const { turnId, number, participantId, answeredBy, answerWithinMs = null } = event.data;
      return {
        ...row,
        turnId,
        number,
        participantId,
        answeredBy,
        status: 'requested',
        attempts: 0,
        dueAt: timeAfter(event, 0),
        answerBy: answerWithinMs === null ? null : timeAfter(event, answerWithinMs),
        requestedPosition: event.position.toString(),
      };
    }
    case 'TurnClaimed':
      if (row.turnId !== event.data.turnId) return row;
      return { ...row, status: 'claimed', attempts: event.data.attempt, dueAt: null };
    case 'TurnAttemptAbandoned': {
      const { turnId, retryAfterMs } = event.data;
      if (row.turnId !== turnId) return row;
      return { ...row, status: 'retrying', dueAt: retryAfterMs === null ? null : timeAfter(event, retryAfterMs) };
    }
    case 'TurnCompleted':
    case 'TurnFailed':
    case 'TurnSkipped':
    case 'TurnCancelled':
      return row.turnId === event.data.turnId ? { ...row, ...noTurn } : row;
    case 'DiscussionPaused':
      return { ...row, paused: true };
    case 'DiscussionResumed':
      return { ...row, paused: false };
    case 'DiscussionConcluded':
      return null;
    default:
      return row;
  }
}
