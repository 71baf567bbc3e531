import type { CurrentTurn, DiscussionRow } from './discussions.ts';
import { timeAfter, type LogEvent } from './projection.ts';

/** The row of a discussion that begins. */
export function afterOpening(
  event: Extract<LogEvent, { type: 'DiscussionOpened' | 'DiscussionForked' }>,
  id: string,
): DiscussionRow {
  const { projectId, title, topic, policy, limits, priority } = event.data;
  const position = event.position.toString();
  const { occurredAt } = event.metadata;
  return {
    id,
    project: projectId,
    title,
    topic,
    status: 'open',
    pauseReason: null,
    endReason: null,
    policy,
    limits,
    deadline: inUtc(limits.deadline),
    priority,
    participants: [],
    forkedFrom: null,
    parentId: null,
    currentTurn: null,
    turnsCompleted: 0,
    messages: 0,
    inputTokens: 0,
    outputTokens: 0,
    revision: event.revision,
    position,
    openedPosition: position,
    openedAt: occurredAt,
    updatedAt: occurredAt,
    concludedAt: null,
  };
}

/** As its parent was at the event it was forked at; what attempts under way used is counted there. */
export function afterFork(event: Extract<LogEvent, { type: 'DiscussionForked' }>, id: string): DiscussionRow {
  const { from, revision, prefixHash, participants, turn } = event.data;
  const { turnsCompleted, messages, inputTokens, outputTokens } = event.data;
  const present = participants.filter((each) => !each.left);
  const status = turn?.attempts === 0 ? ('requested' as const) : ('retrying' as const);
  return {
    ...afterOpening(event, id),
    ...{ turnsCompleted, messages, inputTokens, outputTokens },
    participants: present.map(({ left: _left, lastTurn: _lastTurn, ...each }) => each),
    forkedFrom: { discussionId: from, revision, prefixHash },
    parentId: from,
    currentTurn:
      turn === null
        ? null
        : {
            turnId: turn.turnId,
            number: turn.number,
            participantId: turn.participantId,
            attempt: turn.attempts,
            status,
          },
  };
}

/** What an event changes of its discussion's row. */
export function changes(row: DiscussionRow, event: LogEvent): Partial<DiscussionRow> {
  switch (event.type) {
    case 'ParticipantJoined':
      return { participants: [...row.participants, event.data] };
    case 'ParticipantLeft':
      return { participants: row.participants.filter((each) => each.participantId !== event.data.participantId) };
    case 'MessagePosted':
      return { messages: row.messages + 1 };
    case 'TurnRequested': {
      const { turnId, number, participantId } = event.data;
      return { currentTurn: { turnId, number, participantId, attempt: 0, status: 'requested' } };
    }
    case 'TurnClaimed':
      return onTurn(row, event.data.turnId, { attempt: event.data.attempt, status: 'claimed' });
    case 'TurnAttemptAbandoned':
      return { ...onTurn(row, event.data.turnId, { status: 'retrying' }), ...tokens(row, event.data.usage) };
    case 'TurnCompleted':
      return {
        ...ended(row, event.data.turnId),
        ...tokens(row, event.data.usage),
        turnsCompleted: row.turnsCompleted + 1,
        messages: row.messages + 1,
      };
    case 'TurnFailed':
    case 'TurnSkipped':
    case 'TurnCancelled':
      return ended(row, event.data.turnId);
    case 'DiscussionPaused':
      return { status: 'paused', pauseReason: event.data.reason };
    case 'DiscussionResumed':
      return { status: 'open', pauseReason: null };
    case 'DiscussionConcluded':
      return { status: 'concluded', pauseReason: null, endReason: event.data.reason, concludedAt: timeAfter(event, 0) };
    case 'PolicySwitched':
      return { policy: event.data.policy };
    case 'LimitsChanged':
      return { limits: event.data.limits, deadline: inUtc(event.data.limits.deadline) };
    default:
      return {};
  }
}

function onTurn(row: DiscussionRow, turnId: string, change: Partial<CurrentTurn>): Partial<DiscussionRow> {
  return row.currentTurn?.turnId === turnId ? { currentTurn: { ...row.currentTurn, ...change } } : {};
}

function ended(row: DiscussionRow, turnId: string): Partial<DiscussionRow> {
  return row.currentTurn?.turnId === turnId ? { currentTurn: null } : {};
}

function tokens(row: DiscussionRow, used: { inputTokens: number; outputTokens: number }): Partial<DiscussionRow> {
  return {
    inputTokens: row.inputTokens + used.inputTokens,
    outputTokens: row.outputTokens + used.outputTokens,
  };
}

function inUtc(time: string | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}
