/** Reads many events at once for rebuilds: only the types and streams asked for, in large pages. */
import type { Knex } from 'knex';
import type { Codec } from '../domain/codec.ts';
import type { RecordedEvent } from '../domain/envelope.ts';
import type { StoredRow } from './logPages.ts';

/** Events of one page at most unless said; large events make pages smaller. */
const PAGE_EVENTS = 5_000;
const PAGE_CHARS = 16_000_000;
const FIRST_PAGE_EVENTS = 500;
/** Positions looked through by one statement: where few events are of the types asked for, it would last too long. */
const WINDOW = 100_000n;
const READ_MS = 60_000;

interface Range {
  readonly after: bigint;
  readonly to: bigint;
  readonly types: readonly string[] | null;
  readonly part?: { readonly index: number; readonly of: number } | undefined;
}

interface Page {
  readonly events: readonly RecordedEvent[];
  readonly through: bigint;
  readonly chars: number;
}

export interface PostgresLogSource {
  /** The events of a range (`after` exclusive, `to` inclusive) in order; `inside` a transaction where one is given. */
  read(range: Range, inside?: Knex): AsyncIterable<Page>;
}

interface EventRow {
  readonly position: string;
  readonly stream: string;
  readonly revision: string;
  readonly id: string;
  readonly type: string;
  readonly schema_version: number;
  readonly data: string;
  readonly metadata: string;
}

/** The log of migration 001_log. Rejects with the driver's errors. */
export function createPostgresLogSource(knex: Knex, codec: Codec, pageEvents = PAGE_EVENTS): PostgresLogSource {
  return {
    async *read({ after, to, types, part }, inside = knex) {
      let at = after;
      let limit = Math.min(FIRST_PAGE_EVENTS, pageEvents);
      let next = fetch(inside, { at, to, types, part, limit });
      while (at < to) {
        const page = await next;
        const { through, rows, chars } = page;
        at = through;
        // A page shrinks at once when events get larger, and grows slowly.
        if (rows.length > 0)
          limit = Math.max(50, Math.min(limit * 2, pageEvents, Math.floor((PAGE_CHARS * rows.length) / (chars + 1))));
        // The server is at the next page while this one is worked on.
        if (at < to) {
          next = fetch(inside, { at, to, types, part, limit });
          next.catch(() => undefined);
        }
        yield { events: await decoded(codec, rows), through, chars };
      }
    },
  };
}

async function decoded(codec: Codec, rows: readonly StoredRow[]): Promise<RecordedEvent[]> {
  const events = await codec.decode(rows);
  return rows.map(({ stream, revision, position }, i) => {
    const event = events[i];
    if (event === undefined) throw new Error('the codec answered fewer events than it was given');
    const { id, type, schemaVersion, data, metadata } = event;
    return { id, type, schemaVersion, data, metadata, stream, revision, position: BigInt(position) };
  });
}

interface Wanted extends Omit<Range, 'after'> {
  readonly at: bigint;
  readonly limit: number;
}

async function fetch(
  knex: Knex,
  { at, to, types, part, limit }: Wanted,
): Promise<{ rows: StoredRow[]; through: bigint; chars: number }> {
  const end = at + WINDOW < to ? at + WINDOW : to;
  const conditions = ['position > ?', 'position <= ?'];
  const bindings: (string | number | string[])[] = [at.toString(), end.toString()];
  if (types !== null) {
    conditions.push('type = any(?::text[])');
    bindings.push([...types]);
  }
  if (part !== undefined) {
    conditions.push('(hashtext(stream) & 2147483647) % ? = ?');
    bindings.push(part.of, part.index);
  }
  const found = await knex
    .raw<{ rows: EventRow[] }>(
      `select position, stream, revision, id, type, schema_version, data, metadata from events
       where ${conditions.join(' and ')} order by position limit ?`,
      [...bindings, limit],
    )
    .options({ query_timeout: READ_MS });
  let chars = 0;
  // Written out: spreading these objects took longer than parsing their JSON.
  const rows = found.rows.map(({ position, stream, revision, id, type, schema_version, data, metadata }): StoredRow => {
    chars += data.length + metadata.length;
    const schemaVersion = schema_version;
    return { stream, revision: Number(revision), position: Number(position), id, type, schemaVersion, data, metadata };
  });
  const last = found.rows.at(-1);
  return { rows, through: rows.length === limit && last ? BigInt(last.position) : end, chars };
}
