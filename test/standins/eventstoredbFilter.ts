/** Filters of $all in the EventStoreDB stand-in: stream name or event type, by prefixes or a regular expression. */
import type streamsPb from '@eventstore/db-client/generated/streams_pb.js';
import type { StoredEvent } from './eventstoredbLog.ts';

export interface EventFilter {
  matches(event: StoredEvent): boolean;
  /** Records that one page looks at. */
  readonly window: number;
  /** Pages from one checkpoint to the next. */
  readonly multiplier: number;
}

/** The server's own page where a filter names no window. */
const PAGE_RECORDS = 32;

/** Null for no filter. Throws for one that the server throws on: a bad expression, none at all, a window of 0. */
export function filterOf(options: streamsPb.ReadReq.Options): EventFilter | null {
  const filter = options.getFilter();
  if (!filter) return null;
  const expression = filter.getStreamIdentifier() ?? filter.getEventType();
  const prefixes = expression?.getPrefixList() ?? [];
  const regex = expression?.getRegex() ?? '';
  const window = filter.hasMax() ? filter.getMax() : PAGE_RECORDS;
  if (window === 0 || (prefixes.length === 0 && regex === '')) throw new RangeError('a filter that filters nothing');
  const pattern = regex === '' ? null : new RegExp(regex, 'u');
  const fits = (text: string): boolean => pattern?.test(text) ?? prefixes.some((prefix) => text.startsWith(prefix));
  const matches = filter.hasEventType()
    ? ({ type }: StoredEvent): boolean => fits(type)
    : ({ stream }: StoredEvent): boolean => fits(stream);
  return { matches, window, multiplier: filter.getCheckpointintervalmultiplier() };
}
