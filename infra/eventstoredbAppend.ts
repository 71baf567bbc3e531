/** Appends to EventStoreDB, and the lineage of the log, which is an event of its own. */
import { randomUUID } from 'node:crypto';
import { NO_STREAM as CLIENTS_NO_STREAM } from '@eventstore/db-client';
import { type Appended, NO_STREAM } from '../domain/ports.ts';
import { Refusal, WrongExpectedRevision } from '../domain/refusal.ts';
import type { EncodedAppend } from './appendRules.ts';
import { bounded, type Connection } from './eventstoredbConnection.ts';
import { appendFailure, kindOf, readFailure } from './eventstoredbFault.ts';
import type { Gate } from './eventstoredbGate.ts';
import type { Reads } from './eventstoredbReads.ts';
import { toEventData } from './eventstoredbRows.ts';

/** Of no kind that is shown to anybody. */
const LINEAGE_STREAM = 'lineage-log';
const LINEAGE_TYPE = 'LineageStarted';
/** The client's own deadline ends the call a little before ours. */
const CLIENT_EARLIER_MS = 250;
const NEW_LEADER_MS = 50;

export interface Appends {
  /** Resolves when durable; rejects with `Refusal`, `WrongExpectedRevision` or `UnknownOutcome`, as the port says. */
  append(append: EncodedAppend): Promise<Appended>;
  /** The UUID of this log; the first call on a new log makes it. */
  lineage(): Promise<string>;
  /** Gives a new log the lineage of another one. @throws Refusal `conflict` when it has one of its own already. */
  adoptLineage(lineage: string): Promise<void>;
  count(): number;
}

/** @param onAppended told the position of every append, before it is answered. */
export function createAppends(
  connection: Connection,
  reads: Reads,
  gate: Gate,
  onAppended: (position: number) => void,
): Appends {
  let count = 0;
  const append = async (one: EncodedAppend): Promise<Appended> => {
    const position = await gate.pass(one.bytes, () => send(connection, reads, one));
    count += 1;
    return { revision: one.expected + one.events.length, position: BigInt(position) };
  };
  let known: Promise<string> | null = null;
  return {
    async append(one) {
      const appended = await append(one);
      onAppended(Number(appended.position));
      return appended;
    },
    lineage() {
      known ??= lineageOf(reads, append).catch((error: unknown) => {
        known = null;
        throw readFailure(error);
      });
      return known;
    },
    async adoptLineage(lineage) {
      await append(lineageEvent(lineage)).catch((error: unknown) => {
        if (!(error instanceof WrongExpectedRevision)) throw error;
      });
      if ((await lineageOf(reads, append)) !== lineage)
        throw new Refusal('conflict', 'this EventStoreDB has held another log already: restore into a new one');
    },
    count: () => count,
  };
}

/** Answers the position of the last event. */
async function send(connection: Connection, reads: Reads, append: EncodedAppend): Promise<number> {
  const { client, credentials, deadlines } = connection;
  const { stream, expected, events } = append;
  const once = () =>
    bounded(
      client.appendToStream(stream, events.map(toEventData), {
        expectedRevision: expected === NO_STREAM ? CLIENTS_NO_STREAM : BigInt(expected),
        credentials,
        requiresLeader: true,
        deadline: Math.max(1, deadlines.appendMs - CLIENT_EARLIER_MS),
      }),
      deadlines.appendMs,
    );
  try {
    const { position } = await once().catch(async (error: unknown) => {
      if (kindOf(error) !== 'not-leader') throw error;
      await new Promise((resolve) => setTimeout(resolve, NEW_LEADER_MS));
      return await once();
    });
    if (position !== undefined) return Number(position.commit);
  } catch (error) {
    throw appendFailure(error, stream, expected);
  }
  // A repetition whose events were truncated since: the server knows the ids, but no position any more.
  const { rows } = await reads.stream(stream, expected + events.length, false, 1);
  return rows[0]?.position ?? (await reads.head());
}

async function lineageOf(reads: Reads, append: (one: EncodedAppend) => Promise<unknown>): Promise<string> {
  const stored = async (): Promise<string | undefined> => {
    const { rows } = await reads.stream(LINEAGE_STREAM, 0, false, 1);
    const data: unknown = JSON.parse(rows[0]?.data ?? '{}');
    return typeof data === 'object' && data !== null && 'lineage' in data ? String(data.lineage) : undefined;
  };
  const there = await stored();
  if (there !== undefined) return there;
  await append(lineageEvent(randomUUID())).catch((error: unknown) => {
    // Another process was first.
    if (!(error instanceof WrongExpectedRevision)) throw error;
  });
  const made = await stored();
  if (made === undefined) throw new Refusal('internal', `the stream ${LINEAGE_STREAM} holds no lineage`);
  return made;
}

function lineageEvent(lineage: string): EncodedAppend {
  const data = JSON.stringify({ lineage });
  const event = { id: randomUUID(), type: LINEAGE_TYPE, schemaVersion: 1, data, metadata: '{}' };
  return { stream: LINEAGE_STREAM, expected: NO_STREAM, events: [event], bytes: data.length };
}
