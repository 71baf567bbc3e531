/** Passages with their vectors. The vectors stand in an index elsewhere; here is which ones it must hold. */
import type { Passage } from '../domain/meaning/vectorIndex.ts';
import { participantAgents, passageIdsIn, passagesIn } from './passages.ts';
import type { LogEvent, Lookup, Projection, Row, Table } from './projection.ts';
import { streamId } from '../domain/envelope.ts';

/** What the index must hold: enough to find the text in the log again. */
export type LedgerRow = Pick<
  Passage,
  'passageId' | 'discussionId' | 'eventId' | 'stream' | 'revision' | 'position' | 'chunk'
>;

/** Who is which agent: rows of their own, as the versions of two read models are apart. */
export const embeddedParticipants = participantAgents('embeddings_participants');

const SAYING: readonly LogEvent['type'][] = ['DiscussionOpened', 'MessagePosted', 'TurnCompleted'];

export const ledger: Table<LedgerRow> = {
  name: 'embeddings',
  columns: {
    passageId: 'text',
    discussionId: 'text',
    eventId: 'text',
    stream: 'text',
    revision: 'integer',
    position: 'position',
    chunk: 'integer',
  },
  key: 'passageId',
  indexes: [
    { name: 'by_position', on: ['position', 'passageId'] },
    { name: 'by_event', on: ['eventId'] },
  ],
  creates: SAYING,
  once: true,
  keysOf: passageIdsIn,
  readsOf: (event) => authorKeys(event).map((key) => ({ table: embeddedParticipants, key })),
  // The row is the whole passage while it is in memory, for whoever embeds it; only the columns above are stored.
  evolve: (row, event, passageId, lookup) =>
    passagesOf(event, lookup).find((each) => each.passageId === passageId) ?? row,
};

/** Its rows are written with the checkpoint after the index has confirmed the vectors. */
export const embeddings: Projection = {
  name: 'embeddings',
  schemaVersion: 1,
  tables: [ledger, embeddedParticipants],
  handles: ['ParticipantJoined', 'DiscussionForked', ...SAYING],
  streamLocal: true,
};

/** The passages among changed rows of the ledger, as `evolve` made them. */
export function passagesAmong(rows: readonly Row[]): Passage[] {
  return rows.filter((row): row is Passage => typeof row['text'] === 'string');
}

/** The passages of an event. @param lookup of `embeddedParticipants`. */
export function passagesOf(event: LogEvent, lookup: Lookup): Passage[] {
  const discussionId = streamId(event.stream);
  return passagesIn(event, (id) => lookup(embeddedParticipants, `${discussionId}/${id}`)?.agentId ?? null);
}

function authorKeys(event: LogEvent): string[] {
  if (event.type !== 'MessagePosted' && event.type !== 'TurnCompleted') return [];
  const id = event.type === 'TurnCompleted' ? event.data.participantId : event.data.author.participantId;
  return id === undefined ? [] : [`${streamId(event.stream)}/${id}`];
}
