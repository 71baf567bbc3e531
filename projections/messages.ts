import type { Knex } from 'knex';
import { textOf, type Part } from '../domain/content.ts';
import type { Participant } from '../domain/discussion/events.ts';
import type { HistoryPart } from '../domain/discussion/lineage.ts';
import { streamId } from '../domain/envelope.ts';
import type { StopReason } from '../domain/model.ts';
import { pageOverParts } from './lineagePages.ts';
import type { LogEvent, Lookup, Projection, Table } from './projection.ts';
import { decodeRow, liveView, selectList } from './tables.ts';

export type Author = {
  kind: 'agent' | 'external' | 'person';
  participantId: string | null;
  agentId: string | null;
  userId: string | null;
  name: string;
};

export type MessageRow = {
  messageId: string;
  discussionId: string;
  project: string;
  author: Author;
  content: readonly Part[];
  /** The text parts, joined. */
  text: string;
  turnId: string | null;
  turnNumber: number | null;
  attempt: number | null;
  replyTo: string | null;
  finishReason: StopReason | null;
  revision: number;
  position: string;
  at: string;
};

/** Who a participant is: one small row each, since a completed turn names its author by id only. */
type AuthorRow = Author & { key: string };

/** The number of a discussion's current turn: one row per discussion. */
type TurnNumberRow = { discussionId: string; turnId: string; number: number };

const authorsTable: Table<AuthorRow> = {
  name: 'messages_authors',
  columns: { key: 'text', kind: 'text', participantId: 'text', agentId: 'text', userId: 'text', name: 'text' },
  key: 'key',
  creates: ['ParticipantJoined', 'DiscussionForked'],
  keysOf: (event) => joining(event).map(({ participantId }) => authorKey(event, participantId)),
  evolve(row, event, key) {
    const joined = joining(event).find((each) => authorKey(event, each.participantId) === key);
    if (joined === undefined) return row;
    const { kind, participantId, agentId, userId, name } = joined;
    return { key, kind, participantId, agentId: agentId ?? null, userId: userId ?? null, name };
  },
};

/** A fork takes over its parent's participants. */
function joining(event: LogEvent): readonly Participant[] {
  if (event.type === 'DiscussionForked') return event.data.participants;
  return event.type === 'ParticipantJoined' ? [event.data] : [];
}

const turnNumbersTable: Table<TurnNumberRow> = {
  name: 'messages_turns',
  columns: { discussionId: 'text', turnId: 'text', number: 'integer' },
  key: 'discussionId',
  keysOf: (event) => (event.type === 'TurnRequested' ? [streamId(event.stream)] : []),
  evolve: (row, event, discussionId) =>
    event.type === 'TurnRequested' ? { discussionId, turnId: event.data.turnId, number: event.data.number } : row,
};

const messagesTable: Table<MessageRow> = {
  name: 'messages',
  columns: {
    messageId: 'text',
    discussionId: 'text',
    project: 'text',
    author: 'json',
    content: 'json',
    text: 'text',
    turnId: 'text',
    turnNumber: 'integer',
    attempt: 'integer',
    replyTo: 'text',
    finishReason: 'text',
    revision: 'integer',
    position: 'position',
    at: 'time',
  },
  key: 'messageId',
  indexes: [{ name: 'by_discussion', on: ['discussionId', 'revision'], unique: true }],
  creates: ['MessagePosted', 'TurnCompleted'],
  once: true,
  keysOf: (event) => (event.type === 'MessagePosted' || event.type === 'TurnCompleted' ? [event.data.messageId] : []),
  readsOf(event) {
    if (event.type === 'MessagePosted') {
      const { participantId } = event.data.author;
      return participantId === undefined ? [] : [{ table: authorsTable, key: authorKey(event, participantId) }];
    }
    if (event.type !== 'TurnCompleted') return [];
    return [
      { table: authorsTable, key: authorKey(event, event.data.participantId) },
      { table: turnNumbersTable, key: streamId(event.stream) },
    ];
  },
  evolve(row, event, messageId, lookup) {
    if (event.type !== 'MessagePosted' && event.type !== 'TurnCompleted') return row;
    const turn = event.type === 'TurnCompleted' ? turnColumns(event, lookup) : noTurn;
    return {
      ...turn,
      messageId,
      discussionId: streamId(event.stream),
      project: event.metadata.project,
      author: authorOf(event, lookup),
      content: event.data.content,
      text: textOf(event.data.content),
      replyTo: event.data.replyTo ?? null,
      revision: event.revision,
      position: event.position.toString(),
      at: event.metadata.occurredAt,
    };
  },
};

export const messages: Projection = {
  name: 'messages',
  schemaVersion: 2,
  tables: [messagesTable, authorsTable, turnNumbersTable],
  handles: ['ParticipantJoined', 'DiscussionForked', 'TurnRequested', 'MessagePosted', 'TurnCompleted'],
  streamLocal: true,
};

const noTurn = { turnId: null, turnNumber: null, attempt: null, finishReason: null };

function turnColumns(event: Extract<LogEvent, { type: 'TurnCompleted' }>, lookup: Lookup) {
  const { turnId, attempt, finishReason } = event.data;
  const current = lookup(turnNumbersTable, streamId(event.stream));
  return { turnId, attempt, finishReason, turnNumber: current?.turnId === turnId ? current.number : null };
}

function authorOf(event: Extract<LogEvent, { type: 'MessagePosted' | 'TurnCompleted' }>, lookup: Lookup): Author {
  const participantId = event.type === 'TurnCompleted' ? event.data.participantId : event.data.author.participantId;
  const joined = participantId === undefined ? null : lookup(authorsTable, authorKey(event, participantId));
  if (joined) {
    const { key: _key, ...author } = joined;
    return event.type === 'MessagePosted' ? { ...author, userId: event.data.author.userId } : author;
  }
  if (event.type === 'TurnCompleted')
    throw new Error(`turn ${event.data.turnId} was completed by nobody who has joined`);
  const { userId, name } = event.data.author;
  return { kind: 'person', participantId: participantId ?? null, agentId: null, userId, name };
}

function authorKey(event: LogEvent, participantId: string): string {
  return `${streamId(event.stream)}/${participantId}`;
}

/** Queries of the read model `messages`. */
export function messageQueries(knex: Knex) {
  const select = () =>
    knex(liveView(messages, messagesTable)).select<Record<string, unknown>[]>(knex.raw(selectList(messagesTable)));
  return {
    async one(discussionId: string, messageId: string): Promise<MessageRow | null> {
      const [row] = await select().where({ discussion_id: discussionId, message_id: messageId });
      return row ? decodeRow(messagesTable, row) : null;
    },

    /**
     * A page of what was said in a discussion and in those it was forked from, by place in the lineage; `after` is
     * exclusive, `backwards` starts from the latest.
     */
    async byDiscussion(
      parts: readonly HistoryPart[],
      options: { after?: number; backwards?: boolean; limit: number },
    ): Promise<(MessageRow & { index: number })[]> {
      const ranges = parts.map((part) => ({
        part,
        above: part.offset - 1,
        upTo: part.until === null ? null : part.offset + part.until,
      }));
      return pageOverParts(ranges, options, async ({ discussionId, offset }, { above, below, backwards, limit }) => {
        const query = select()
          .where('discussion_id', discussionId)
          .where('revision', '>', above - offset);
        if (below !== null) void query.where('revision', '<', below - offset);
        const rows = await query.orderBy('revision', backwards ? 'desc' : 'asc').limit(limit);
        return rows.map((row) => {
          const message = decodeRow(messagesTable, row);
          return { ...message, index: offset + message.revision };
        });
      });
    },
  };
}
