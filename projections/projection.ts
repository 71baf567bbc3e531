import type { AgentEvent } from '../domain/agent/events.ts';
import type { DiscussionEvent } from '../domain/discussion/events.ts';
import type { RecordedEvent } from '../domain/envelope.ts';

/**
 * What a column holds, in the database and in memory: `count` is a bigint that fits a JavaScript number, `position` a
 * bigint as decimal text, `time` a timestamptz as RFC 3339 in UTC with milliseconds, `json` a jsonb.
 */
export type ColumnType = 'text' | 'integer' | 'count' | 'position' | 'boolean' | 'time' | 'json';

/** A row in memory: every column is there, null where it holds nothing. */
export type Row = Record<string, unknown>;

/** An event whose type this program knows, with the data of that type. */
export type LogEvent = Omit<RecordedEvent, 'type' | 'data'> & (AgentEvent | DiscussionEvent);

/** Reads another row of the same projection, as it was before the event that is being applied. */
export type Lookup = <R extends Row>(table: Table<R>, key: string) => R | null;

export interface Index<Column extends string> {
  readonly name: string;
  readonly on: readonly Column[];
  readonly unique?: boolean;
  /** SQL condition of a partial index, in column names as the database has them. */
  readonly where?: string;
  /** Method and what is indexed, as SQL, where it is not `on`: `gin (words)`. */
  readonly using?: string;
}

/** A table of a read model: what a row is, and how an event changes it. Everything in it is pure. */
export interface Table<R extends Row = Row> {
  /** Name in the database, without the version. */
  readonly name: string;
  /** In memory camelCase, in the database snake_case. */
  readonly columns: { readonly [K in keyof R]: ColumnType };
  /** The text column that identifies a row. */
  readonly key: keyof R & string;
  readonly indexes?: readonly Index<keyof R & string>[];
  /** Columns that the database derives from the others, for queries only: no row holds them in memory. */
  readonly generated?: readonly { readonly name: string; readonly sql: string }[];
  /** Event types that make their row, so that nothing needs to be read first: it cannot be there yet. */
  readonly creates?: readonly LogEvent['type'][];
  /** A row is made by one event and never changes again: it is not kept in memory. */
  readonly once?: boolean;
  /** Keys of the rows that the event changes. */
  keysOf(event: LogEvent): readonly string[];
  /** Rows that `evolve` looks up besides its own. */
  readsOf?(event: LogEvent): readonly { readonly table: Table; readonly key: string }[];
  /** The row after the event; null when there is none. Throws for an event that makes no sense: its stream is parked. */
  evolve(row: R | null, event: LogEvent, key: string, lookup: Lookup): R | null;
}

/** A read model: tables that one checkpoint belongs to. */
export interface Projection {
  readonly name: string;
  /** Goes up when columns or `evolve` change: then new tables are built from the log beside the old ones. */
  readonly schemaVersion: number;
  readonly tables: readonly Table[];
  /** Types of the events that change its rows, where they are few: a rebuild reads only these. All unless given. */
  readonly handles?: readonly LogEvent['type'][];
  /** Every row is touched and looked up by events of one stream only: so streams can be folded apart from each other. */
  readonly streamLocal?: boolean;
}

/** The time that is `ms` after an event, as RFC 3339. */
export function timeAfter(event: LogEvent, ms: number): string {
  if (ms === 0) return event.metadata.occurredAt;
  return new Date(Date.parse(event.metadata.occurredAt) + ms).toISOString();
}
