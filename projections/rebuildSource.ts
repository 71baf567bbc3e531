/** Where rebuilds read the log from: arrays of many events, only those asked for. */
import type { Knex } from 'knex';
import type { RecordedEvent } from '../domain/envelope.ts';
import type { EventStore } from '../domain/ports.ts';
import { charsOf } from './eventBuffer.ts';
import type { Projection } from './projection.ts';

export interface Range {
  /** Exclusive. */
  readonly after: bigint;
  /** Inclusive. */
  readonly to: bigint;
  /** Null for all types. */
  readonly types: readonly string[] | null;
  /** The streams whose hash is `index` modulo `of`; all unless given. */
  readonly part?: Part | undefined;
}

export interface Part {
  readonly index: number;
  readonly of: number;
}

export interface Page {
  readonly events: readonly RecordedEvent[];
  /** The range has been read up to here, inclusive. */
  readonly through: bigint;
  /** How large its texts are, about. */
  readonly chars: number;
}

export interface EventSource {
  /**
   * The events of a range in order; the last page reaches its end.
   * @param inside a transaction to read in, for logs in the same database: the embedded one has a single session.
   */
  read(range: Range, inside?: Knex): AsyncIterable<Page>;
}

/** Events of one page at most, and about how many characters. */
const PAGE = { events: 5_000, chars: 16_000_000 };

/** Reads any log through its port. */
export function storeSource(store: EventStore): EventSource {
  return {
    async *read({ after, to, types, part }) {
      const wanted = types === null ? null : new Set(types);
      let events: RecordedEvent[] = [];
      let chars = 0;
      let seen = 0;
      for await (const event of store.readAll(after)) {
        if (event.position > to) break;
        seen += 1;
        const mine = part === undefined || hashOf(event.stream) % part.of === part.index;
        if (mine && (wanted === null || wanted.has(event.type))) {
          events.push(event);
          chars += charsOf(event);
        }
        if (seen < PAGE.events && chars < PAGE.chars) continue;
        yield { events, through: event.position, chars };
        events = [];
        [chars, seen] = [0, 0];
      }
      yield { events, through: to, chars };
    },
  };
}

/** Types that a projection has to see: all unless it says. */
export function typesOf(projection: Projection): readonly string[] | null {
  return projection.handles ?? null;
}

/** 32 bits of a text, the same everywhere: FNV-1a. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
