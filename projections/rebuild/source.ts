/** Where rebuilds read the log from: arrays of many events, only those asked for. */
import type { Knex } from 'knex';
import { charsAbout } from '../../domain/codec.ts';
import type { RecordedEvent } from '../../domain/envelope.ts';
import type { EventStore } from '../../domain/ports.ts';
import type { Projection } from '../projection.ts';

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

/** Events of one page at most unless said, and about how many characters. */
const PAGE = { events: 5_000, chars: 16_000_000 };
/** Pages in memory beside the one that is worked on; one where others are left their time. */
const PAGES_AHEAD = 3;
/** Events of one page for who leaves others their time: a thirtieth of a second's work. */
export const GENTLE_EVENTS = 1_000;

/** Reads any log through its port. */
export function storeSource(store: EventStore, pageEvents = PAGE.events): EventSource {
  return {
    read: (range) => readAhead(pagesOf(store, range, pageEvents), pageEvents > GENTLE_EVENTS ? PAGES_AHEAD : 1),
  };
}

/** The next pages are read while one is worked on, and while what was folded before is being written. */
async function* readAhead(pages: AsyncGenerator<Page, void>, ahead: number): AsyncGenerator<Page, void> {
  const waiting: Promise<IteratorResult<Page, void>>[] = [];
  const ask = (): void => {
    const next = pages.next();
    // Told to whoever asks for that page.
    next.catch(() => undefined);
    waiting.push(next);
  };
  for (let i = 0; i < ahead; i += 1) ask();
  try {
    for (;;) {
      const page = await waiting.shift();
      if (page === undefined || page.done) return;
      ask();
      yield page.value;
    }
  } finally {
    await pages.return();
  }
}

async function* pagesOf(
  store: EventStore,
  { after, to, types, part }: Range,
  pageEvents: number,
): AsyncGenerator<Page, void> {
  let events: RecordedEvent[] = [];
  let chars = 0;
  let seen = 0;
  for await (const event of store.readAll(after, types === null ? {} : { types })) {
    if (event.position > to) break;
    seen += 1;
    if (part === undefined || hashOf(event.stream) % part.of === part.index) {
      events.push(event);
      chars += charsAbout(event.data);
    }
    // Nobody has to ask for what lies behind the end.
    if (event.position === to) break;
    if (seen < pageEvents && chars < PAGE.chars) continue;
    yield { events, through: event.position, chars };
    events = [];
    [chars, seen] = [0, 0];
  }
  yield { events, through: to, chars };
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
