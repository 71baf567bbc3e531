/** Which events an export holds, in the order of the log. */
import { lineageOf } from '../commands/lineage.ts';
import type { Evidence } from '../domain/audit/evidence.ts';
import type { Manifest } from '../domain/audit/exportFormat.ts';
import { BEFORE_ALL, entryAt } from '../domain/audit/leaf.ts';
import { indexOf, newestCheckpoint } from '../domain/audit/prove.ts';
import type { StoredRecord } from '../domain/codec.ts';
import type { EventStore } from '../domain/ports.ts';

export interface Selection {
  readonly streams: Manifest['streams'];
  readonly records: AsyncIterable<StoredRecord>;
}

interface Part {
  readonly stream: string;
  readonly until: number;
}

/** A discussion as it is now: its events, those it was forked from, and those of the agents that take part. */
export async function selectDiscussion(store: EventStore, id: string): Promise<Selection> {
  const agents = new Set<string>();
  const parts: Part[] = [];
  for (const { discussionId, until } of await lineageOf(store, id)) {
    const stream = `discussion-${discussionId}`;
    let last = -1;
    for await (const { revision, type, data } of store.readStored(BEFORE_ALL, { stream })) {
      if (revision > (until ?? Infinity)) break;
      last = revision;
      for (const agentId of agentsIn(type, data)) agents.add(`agent-${agentId}`);
    }
    parts.push({ stream, until: last });
  }
  const all = [...parts, ...[...agents].map((stream) => ({ stream, until: Infinity }))];
  return {
    streams: all.map(({ stream, until }) => ({ stream, until: until === Infinity ? null : until })),
    records: merged(all.map(({ stream, until }) => upTo(store, stream, until))),
  };
}

/** Agents that an event of a discussion brings in. */
function agentsIn(type: string, data: string): string[] {
  if (type !== 'ParticipantJoined' && type !== 'DiscussionForked') return [];
  const { agentId, participants = [] } = JSON.parse(data) as {
    agentId?: string;
    participants?: readonly { agentId?: string }[];
  };
  return [agentId, ...participants.map((each) => each.agentId)].filter((each) => each !== undefined);
}

async function* upTo(store: EventStore, stream: string, until: number): AsyncGenerator<StoredRecord> {
  for await (const record of store.readStored(BEFORE_ALL, { stream })) {
    if (record.revision > until) return;
    yield record;
  }
}

/** Several ascending ones as one. */
async function* merged(parts: readonly AsyncGenerator<StoredRecord>[]): AsyncGenerator<StoredRecord> {
  const heads = await Promise.all(parts.map(async (part) => ({ part, head: await nextOf(part) })));
  try {
    for (;;) {
      let first: { part: AsyncGenerator<StoredRecord>; head: StoredRecord | null } | undefined;
      for (const each of heads)
        if (each.head !== null && (first?.head == null || each.head.position < first.head.position)) first = each;
      if (first?.head == null) return;
      yield first.head;
      first.head = await nextOf(first.part);
    }
  } finally {
    await Promise.all(parts.map((part) => part.return(undefined)));
  }
}

async function nextOf(part: AsyncGenerator<StoredRecord>): Promise<StoredRecord | null> {
  const result = await part.next();
  return result.done === true ? null : result.value;
}

/** The events from one position to another, both inclusive. */
export async function* selectRange(
  store: EventStore,
  evidence: Evidence,
  from: bigint,
  to: bigint,
): AsyncGenerator<StoredRecord> {
  for await (const record of store.readStored(await positionBefore(evidence, from))) {
    if (record.position > to) return;
    if (record.position >= from) yield record;
  }
}

/** Of an event: some logs are read from behind an event only. */
async function positionBefore(evidence: Evidence, position: bigint): Promise<bigint> {
  const signed = await newestCheckpoint(evidence);
  if (signed === null) return BEFORE_ALL;
  const { size, position: last } = signed.checkpoint;
  if (position > last) return last;
  const index = await indexOf(evidence, size, position);
  const bytes = index === 0 ? null : await evidence.entries(index - 1, index);
  return bytes === null ? BEFORE_ALL : entryAt(bytes, 0).position;
}
