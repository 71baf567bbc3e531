import type { DiscussionEventData } from '../domain/discussion/events.ts';
import { partsOf, type HistoryPart } from '../domain/discussion/lineage.ts';
import type { RecordedEvent } from '../domain/envelope.ts';
import type { EventStore } from '../domain/ports.ts';

/** One stream's part in a discussion's history, as far as reading it needs. */
export type LineagePart = Pick<HistoryPart, 'discussionId' | 'offset' | 'until'>;

/** An event, and its place in the lineage: its revision where the discussion was not forked from another one. */
export interface LineageEvent {
  readonly event: RecordedEvent;
  readonly index: number;
}

/**
 * The streams that hold a discussion's history, the eldest first and its own last. A discussion that was not forked, or of
 * which there is nothing, has its own alone.
 */
export async function lineageOf(store: EventStore, discussionId: string): Promise<HistoryPart[]> {
  return partsOf(discussionId, await ancestorsOf(store, discussionId));
}

/**
 * A discussion's events over its ancestors' prefixes and its own stream, in the order in which they shaped it.
 * @param range indexes in the lineage, both inclusive.
 */
export async function* readLineage(
  store: EventStore,
  discussionId: string,
  range: { from?: number; to?: number } = {},
): AsyncGenerator<LineageEvent> {
  yield* readParts(store, await lineageOf(store, discussionId), range);
}

/** `readLineage` for whoever knows the parts already. */
export async function* readParts(
  store: EventStore,
  parts: readonly LineagePart[],
  { from = 0, to = Infinity }: { from?: number; to?: number } = {},
): AsyncGenerator<LineageEvent> {
  for (const { discussionId, offset, until } of parts) {
    const first = Math.max(0, from - offset);
    const last = Math.min(until ?? Infinity, to - offset);
    if (last < first) continue;
    const limit = last === Infinity ? {} : { limit: last - first + 1 };
    for await (const event of store.read(`discussion-${discussionId}`, { from: first, ...limit }))
      yield { event, index: offset + event.revision };
  }
}

/** What the first event of a stream says of those it was forked from. */
async function ancestorsOf(
  store: EventStore,
  discussionId: string,
): Promise<DiscussionEventData<'DiscussionForked'>['ancestors']> {
  for await (const { type, data } of store.read(`discussion-${discussionId}`, { limit: 1 }))
    if (type === 'DiscussionForked') return (data as DiscussionEventData<'DiscussionForked'>).ancestors;
  return [];
}
