import { v5 } from 'uuid';
import type { Participant } from '../domain/discussion/events.ts';
import { streamId } from '../domain/envelope.ts';
import { chunksOf } from '../domain/meaning/chunker.ts';
import type { Passage } from '../domain/meaning/vectorIndex.ts';
import { passageText } from '../domain/prompt/recalled.ts';
import type { LogEvent, Projection, Table } from './projection.ts';

const NAMESPACE = 'b7d0c1de-52a1-4f0e-9d1c-6a3f5be9e0c7';

/** Id of a chunk of what an event says: the same for ever, in every store. */
export function passageIdOf(eventId: string, chunk: number): string {
  return v5(`${eventId}/${chunk}`, NAMESPACE);
}

/** The ids of `passagesIn`, in the same order. */
export function passageIdsIn(event: LogEvent): string[] {
  return [...passagesById(event).keys()];
}

/** What an event says, in chunks: a message, or the document that a discussion was given. */
export function passagesIn(event: LogEvent, agentOf: (participantId: string) => string | null): Passage[] {
  const passages = [...passagesById(event).values()];
  const author = authorOf(event);
  const agentId = author === null || passages.length === 0 ? null : agentOf(author);
  return passages.map((passage) => ({ ...passage, agentId }));
}

/** A long text would else be cut again for each of its chunks. */
const known = new WeakMap<LogEvent, ReadonlyMap<string, Passage>>();

function passagesById(event: LogEvent): ReadonlyMap<string, Passage> {
  const found = known.get(event);
  if (found !== undefined) return found;
  const text = passageText(event);
  const passages = new Map<string, Passage>();
  if (text === null) return passages;
  for (const [chunk, { starts, ends }] of chunksOf(text).entries()) {
    const passageId = passageIdOf(event.id, chunk);
    passages.set(passageId, {
      passageId,
      project: event.metadata.project,
      discussionId: streamId(event.stream),
      kind: event.type === 'DiscussionOpened' ? 'document' : 'message',
      agentId: null,
      eventId: event.id,
      stream: event.stream,
      revision: event.revision,
      position: event.position.toString(),
      chunk,
      starts,
      ends,
      at: event.metadata.occurredAt,
      text: text.slice(starts, ends),
    });
  }
  known.set(event, passages);
  return passages;
}

/** The participant that spoke, if one did. */
function authorOf(event: LogEvent): string | null {
  if (event.type === 'TurnCompleted') return event.data.participantId;
  return event.type === 'MessagePosted' ? (event.data.author.participantId ?? null) : null;
}

/** The agent that a participant is, null for a person: a completed turn names its author as a participant only. */
export type ParticipantAgentRow = { key: string; agentId: string | null };

/**
 * Participants with their agents, for a projection of passages: of its own, since a projection reads no other's rows.
 * @param name of the table.
 */
export function participantAgents(name: string): Table<ParticipantAgentRow> {
  return {
    name,
    columns: { key: 'text', agentId: 'text' },
    key: 'key',
    creates: ['ParticipantJoined', 'DiscussionForked'],
    keysOf: (event) => joining(event).map(({ participantId }) => participantKey(event, participantId)),
    evolve(row, event, key) {
      const joined = joining(event).find(({ participantId }) => participantKey(event, participantId) === key);
      return joined === undefined ? row : { key, agentId: joined.agentId ?? null };
    },
  };
}

/** A fork takes over its parent's participants. */
function joining(event: LogEvent): readonly Participant[] {
  if (event.type === 'DiscussionForked') return event.data.participants;
  return event.type === 'ParticipantJoined' ? [event.data] : [];
}

function participantKey(event: LogEvent, participantId: string): string {
  return `${streamId(event.stream)}/${participantId}`;
}

const participantsTable = participantAgents('passages_participants');

/**
 * SQL for the words of a text, given as SQL: characters of scripts without spaces are words each, since a whole sentence
 * would be one. English, whatever language a text has: its stems bring questions together with answers, and of other
 * languages it only takes some endings off, the same in texts and in queries.
 */
export function passageWords(text: string): string {
  return `regexp_replace(${text}, '([\\u3040-\\u30ff\\u3400-\\u9fff\\uac00-\\ud7af])', ' \\1 ', 'g')`;
}

/** A table for keyword search, and what a recalled passage is read from. */
export const passagesTable: Table<Passage> = {
  name: 'passages',
  columns: {
    passageId: 'text',
    project: 'text',
    discussionId: 'text',
    kind: 'text',
    agentId: 'text',
    eventId: 'text',
    stream: 'text',
    revision: 'integer',
    position: 'position',
    chunk: 'integer',
    starts: 'integer',
    ends: 'integer',
    at: 'time',
    text: 'text',
  },
  key: 'passageId',
  generated: [
    { name: 'words', sql: `tsvector generated always as (to_tsvector('english', ${passageWords('text')})) stored` },
  ],
  indexes: [
    { name: 'by_words', on: [], using: 'gin (words)' },
    { name: 'by_discussion', on: ['project', 'discussionId', 'revision'] },
    { name: 'by_agent', on: ['agentId', 'at'], where: 'agent_id is not null' },
  ],
  creates: ['MessagePosted', 'TurnCompleted', 'DiscussionOpened'],
  once: true,
  keysOf: passageIdsIn,
  readsOf(event) {
    const author = authorOf(event);
    return author === null ? [] : [{ table: participantsTable, key: participantKey(event, author) }];
  },
  evolve(row, event, passageId, lookup) {
    const passage = passagesById(event).get(passageId);
    if (passage === undefined) return row;
    const author = authorOf(event);
    if (author === null) return passage;
    const joined = lookup(participantsTable, participantKey(event, author));
    if (joined === null && event.type === 'TurnCompleted')
      throw new Error(`turn ${event.data.turnId} was completed by nobody who has joined`);
    return { ...passage, agentId: joined?.agentId ?? null };
  },
};

export const passages: Projection = {
  name: 'passages',
  schemaVersion: 1,
  tables: [passagesTable, participantsTable],
  handles: ['DiscussionOpened', 'ParticipantJoined', 'DiscussionForked', 'MessagePosted', 'TurnCompleted'],
  streamLocal: true,
};
