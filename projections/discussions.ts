import type { Knex } from 'knex';
import type { endReasons, Limits, Participant, Policy } from '../domain/discussion/events.ts';
import { streamId, streamKind } from '../domain/envelope.ts';
import { afterFork, afterOpening, changes } from './discussionChanges.ts';
import type { Projection, Table } from './projection.ts';
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
  /** Null where it was opened, not forked. */
  forkedFrom: { discussionId: string; revision: number; prefixHash: string } | null;
  /** `forkedFrom.discussionId`, to find children by. */
  parentId: string | null;
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
    forkedFrom: 'json',
    parentId: 'text',
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
    { name: 'by_parent', on: ['parentId', 'openedPosition'], where: 'parent_id is not null' },
    { name: 'by_deadline', on: ['deadline'], where: `status <> 'concluded' and deadline is not null` },
  ],
  creates: ['DiscussionOpened', 'DiscussionForked'],
  keysOf: (event) => (streamKind(event.stream) === 'discussion' ? [streamId(event.stream)] : []),
  evolve(row, event, id) {
    if (event.type === 'DiscussionOpened') return afterOpening(event, id);
    if (event.type === 'DiscussionForked') return afterFork(event, id);
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

export const discussions: Projection = {
  name: 'discussions',
  schemaVersion: 2,
  tables: [discussionsTable],
  streamLocal: true,
};

/** Queries of the read model `discussions`. */
export function discussionQueries(knex: Knex) {
  const from = liveView(discussions, discussionsTable);
  const select = () => knex(from).select<Record<string, unknown>[]>(knex.raw(selectList(discussionsTable)));
  return {
    async one(id: string): Promise<DiscussionRow | null> {
      const [row] = await select().where({ id });
      return row ? decodeRow(discussionsTable, row) : null;
    },

    /** Those of these discussions that the read model knows. */
    async many(ids: readonly string[]): Promise<DiscussionRow[]> {
      const rows = await select().whereIn('id', [...ids]);
      return rows.map((row) => decodeRow(discussionsTable, row));
    },

    /** Forks of a discussion, the eldest first; `after` is the `openedPosition` of the last row seen. */
    async children(parentId: string, options: { after?: string; limit: number }): Promise<DiscussionRow[]> {
      const query = select().where('parent_id', parentId);
      if (options.after !== undefined) void query.where('opened_position', '>', options.after);
      const rows = await query.orderBy('opened_position').limit(options.limit);
      return rows.map((row) => decodeRow(discussionsTable, row));
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
