import type { Knex } from 'knex';
import type { endReasons, Limits, Participant, Policy } from '../domain/discussion/events.ts';
import { streamId, streamKind } from '../domain/envelope.ts';
import { timeAfter, type LogEvent, type Projection, type Table } from './projection.ts';
import { decodeRow, liveView, selectList } from './tables.ts';

export type CurrentTurn = {
  turnId: string;
  number: number;
  participantId: string;
  /** 0 until it is claimed. */
  attempt: number;
  status: 'requested' | 'claimed' | 'retrying';
};

export type DiscussionRow = {
  id: string;
  project: string;
  title: string;
  topic: string;
  status: 'open' | 'paused' | 'concluded';
  pauseReason: string | null;
  endReason: (typeof endReasons)[number] | null;
  policy: Policy;
  limits: Limits;
  /** `limits.deadline` in UTC. */
  deadline: string | null;
  priority: number;
  participants: readonly Participant[];
  currentTurn: CurrentTurn | null;
  turnsCompleted: number;
  messages: number;
  inputTokens: number;
  outputTokens: number;
  revision: number;
  position: string;
  openedPosition: string;
  openedAt: string;
  updatedAt: string;
  concludedAt: string | null;
};

const discussionsTable: Table<DiscussionRow> = {
  name: 'discussions',
  columns: {
    id: 'text',
    project: 'text',
    title: 'text',
    topic: 'text',
    status: 'text',
    pauseReason: 'text',
    endReason: 'text',
    policy: 'json',
    limits: 'json',
    deadline: 'time',
    priority: 'integer',
    participants: 'json',
    currentTurn: 'json',
    turnsCompleted: 'integer',
    messages: 'integer',
    inputTokens: 'count',
    outputTokens: 'count',
    revision: 'integer',
    position: 'position',
    openedPosition: 'position',
    openedAt: 'time',
    updatedAt: 'time',
    concludedAt: 'time',
  },
  key: 'id',
  indexes: [
    { name: 'by_project', on: ['project', 'openedPosition'] },
    { name: 'by_deadline', on: ['deadline'], where: `status <> 'concluded' and deadline is not null` },
  ],
  creates: ['DiscussionOpened'],
  keysOf: (event) => (streamKind(event.stream) === 'discussion' ? [streamId(event.stream)] : []),
  evolve(row, event, id) {
    if (event.type === 'DiscussionOpened') return opened(event, id);
    if (row === null) throw new Error(`${event.type} in a discussion that was never opened`);
    return {
      ...row,
      ...changes(row, event),
      revision: event.revision,
      position: event.position.toString(),
      updatedAt: event.metadata.occurredAt,
    };
  },
};

export const discussions: Projection = { name: 'discussions', schemaVersion: 1, tables: [discussionsTable] };

function opened(event: Extract<LogEvent, { type: 'DiscussionOpened' }>, id: string): DiscussionRow {
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

function changes(row: DiscussionRow, event: LogEvent): Partial<DiscussionRow> {
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

/** Queries of the read model `discussions`. */
export function discussionQueries(knex: Knex) {
  const from = liveView(discussions, discussionsTable);
  const select = () => knex(from).select<Record<string, unknown>[]>(knex.raw(selectList(discussionsTable)));
  return {
    async one(id: string): Promise<DiscussionRow | null> {
      const [row] = await select().where({ id });
      return row ? decodeRow(discussionsTable, row) : null;
    },

    /**
     * The newest first.
     * @param options.projects null for all; `before` is the `openedPosition` of the last row seen.
     */
    async list(options: {
      projects: readonly string[] | null;
      status?: DiscussionRow['status'];
      before?: string;
      limit: number;
    }): Promise<DiscussionRow[]> {
      const query = select();
      if (options.projects) void query.whereIn('project', [...options.projects]);
      if (options.status !== undefined) void query.where('status', options.status);
      if (options.before !== undefined) void query.where('opened_position', '<', options.before);
      const rows = await query.orderBy('opened_position', 'desc').limit(options.limit);
      return rows.map((row) => decodeRow(discussionsTable, row));
    },

    /**
     * Discussions whose wall-clock deadline has come, paused ones too, the longest overdue first.
     * @param options.now milliseconds since the epoch.
     */
    async pastDeadline(options: { now: number; limit: number }): Promise<{ id: string; project: string }[]> {
      return knex(from)
        .select<{ id: string; project: string }[]>('id', 'project')
        .whereNot('status', 'concluded')
        .where('deadline', '<=', new Date(options.now).toISOString())
        .orderBy('deadline')
        .limit(options.limit);
    },
  };
}
