/** The reads of the log in EventStoreDB. */
import {
  BACKWARDS,
  END,
  eventTypeFilter,
  FORWARDS,
  type ReadPosition,
  type ResolvedEvent,
  START,
  streamNameFilter,
} from '@eventstore/db-client';
import { charsAbout } from '../domain/codec.ts';
import type { Connection } from './eventstoredbConnection.ts';
import { isBadPosition, kindOf, readFailure } from './eventstoredbFault.ts';
import type { Gate } from './eventstoredbGate.ts';
import { type ClientStream, gather } from './eventstoredbGather.ts';
import { createHeadSearch } from './eventstoredbHead.ts';
import { toParsed, toRow, typePrefix, type ParsedRow } from './eventstoredbRows.ts';
import { PAGE_BYTES, type PageReads, type StoredRow } from './logPages.ts';

/** A checkpoint every 1,024 events that are not ours: a sign of life from a server that searches. */
const SEARCH_WINDOW = 32;
const CHECKPOINT_EVERY = 32;
/** The client hears of a new leader with one call's failure, and goes there with the next. */
const NEW_LEADER_MS = 50;
/** About. */
const METADATA_CHARS = 400;

export interface Reads extends PageReads {
  /** Position of the last of our events, 0 for none. */
  head(): Promise<number>;
  /** Whether an event ends at this position and the log goes at least so far. */
  holds(position: number): Promise<boolean>;
  /** Events behind a position as the client has parsed them, in order; of the given types only, where given. */
  parsedAfter(position: number, limit: number, types: readonly string[] | null): Promise<ParsedPage>;
  /** A subscription to our streams behind a position; `alive` is called when the server sends anything but events. */
  subscribe(position: number, alive: () => void): ClientStream;
}

export interface ParsedPage {
  readonly rows: readonly ParsedRow[];
  /** False when there was nothing behind the page at the time. */
  readonly more: boolean;
}

type Open = (alive: () => void) => ClientStream;
type Take = (event: ResolvedEvent) => boolean;

/** @param kinds of the streams that are ours: the server may hold others, which nobody is shown. */
export function createReads(connection: Connection, kinds: readonly string[], gate: Gate): Reads {
  const { client, credentials, deadlines, closed } = connection;
  const prefixes = kinds.map((kind) => `${kind}-`);
  // Followers may be behind what was acknowledged.
  const options = { credentials, requiresLeader: true };
  const read = async (open: Open, take: Take): Promise<void> => {
    const once = () => gate.pass(0, () => gather(open, { quietMs: deadlines.quietMs, closed, take }));
    await once().catch(async (error: unknown) => {
      if (kindOf(error) !== 'not-leader') throw error;
      await new Promise((resolve) => setTimeout(resolve, NEW_LEADER_MS));
      await once();
    });
  };
  const subscribe = (position: number, alive: () => void, types: readonly string[] | null = null): ClientStream => {
    const window = { maxSearchWindow: SEARCH_WINDOW, checkpointInterval: CHECKPOINT_EVERY, checkpointReached: alive };
    // A filter is by streams or by types, never both.
    const filter =
      types === null
        ? streamNameFilter({ prefixes, ...window })
        : eventTypeFilter({ prefixes: types.map(typePrefix), ...window });
    return client.subscribeToAll({ ...options, fromPosition: at(position), filter });
  };
  const isOurs = ({ stream }: { stream: string }): boolean => prefixes.some((prefix) => stream.startsWith(prefix));
  const head = createHeadSearch(
    (from, maxCount, take) =>
      read(() => client.readAll({ ...options, direction: BACKWARDS, fromPosition: from, maxCount }), take),
    (event) => {
      const row = toRow(event);
      return row !== null && isOurs(row) ? row.position : null;
    },
  );
  return {
    stream(stream, from, backwards, limit) {
      const direction = backwards ? BACKWARDS : FORWARDS;
      const fromRevision = from >= Number.MAX_SAFE_INTEGER ? END : BigInt(from);
      const open = () => client.readStream(stream, { ...options, direction, fromRevision, maxCount: limit });
      return pageOf(read, open, limit, asTexts, stream);
    },
    after: (position, limit) => pageOf(read, (alive) => subscribe(position, alive), limit, asTexts),
    parsedAfter(position, limit, types) {
      // Other programs' streams may hold types of the same names.
      const rowOf = (event: ResolvedEvent): ParsedRow | null => {
        const row = toParsed(event);
        return row !== null && isOurs(row) ? row : null;
      };
      const charsOf = (row: ParsedRow): number => charsAbout(row.data) + METADATA_CHARS;
      return pageOf(read, (alive) => subscribe(position, alive, types), limit, { rowOf, charsOf });
    },
    head: () => head().catch(rethrow),
    async holds(position) {
      let found = false;
      const open = () => client.readAll({ ...options, fromPosition: at(position), maxCount: 1 });
      await read(open, () => !(found = true)).catch((error: unknown) => {
        if (!isBadPosition(error)) throw readFailure(error);
      });
      return found;
    },
    subscribe,
  };
}

interface RowReader<R> {
  /** Null for an event that is left out. */
  readonly rowOf: (event: ResolvedEvent) => R | null;
  readonly charsOf: (row: R) => number;
}

const asTexts: RowReader<StoredRow> = {
  rowOf: toRow,
  charsOf: ({ data, metadata }) => data.length + metadata.length,
};

async function pageOf<R>(
  read: (open: Open, take: Take) => Promise<void>,
  open: Open,
  limit: number,
  { rowOf, charsOf }: RowReader<R>,
  stream?: string,
): Promise<{ rows: R[]; more: boolean }> {
  const rows: R[] = [];
  let chars = 0;
  await read(open, (event) => {
    const row = rowOf(event);
    if (row === null) return true;
    rows.push(row);
    chars += charsOf(row);
    return rows.length < limit && chars <= PAGE_BYTES;
  }).catch((error: unknown) => {
    if (kindOf(error) !== 'stream-not-found') throw readFailure(error, stream);
  });
  return { rows, more: rows.length >= limit || chars > PAGE_BYTES };
}

function rethrow(error: unknown): never {
  throw readFailure(error);
}

function at(position: number): ReadPosition {
  return position <= 0 ? START : { commit: BigInt(position), prepare: BigInt(position) };
}
