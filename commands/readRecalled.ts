import type { DiscussionEvent, PromptRecord } from '../domain/discussion/events.ts';
import type { Retrieved } from '../domain/discussion/retrieved.ts';
import type { RecordedEvent } from '../domain/envelope.ts';
import type { EventStore } from '../domain/ports.ts';
import { passageText, recalledFrom, type Recalled } from '../domain/prompt/recalled.ts';

/**
 * What an attempt recalled, from the log alone: in discussions of the project, whatever has become of the index since. What
 * is not there as it was recorded comes out empty, and the prompt's hash then differs from the recorded one.
 * @param project that of the attempt's discussion.
 */
export async function readRecalled(
  store: EventStore,
  project: string,
  { retrieved = [] }: Pick<PromptRecord, 'retrieved'>,
): Promise<Recalled[]> {
  const passages: Recalled[] = [];
  for (const entry of retrieved) {
    const event = await findSaid(store, project, entry);
    passages.push(recalledFrom(entry, (event && passageText(event)) ?? ''));
  }
  return passages;
}

/** The event at a place of the log, if it is the one that is meant and of that project. */
export async function findSaid(
  store: EventStore,
  project: string,
  { eventId, stream, revision }: Pick<Retrieved, 'eventId' | 'stream' | 'revision'>,
): Promise<(DiscussionEvent & RecordedEvent) | null> {
  for await (const event of store.read(stream, { from: revision, limit: 1 }))
    if (event.id === eventId && event.revision === revision && event.metadata.project === project)
      return event as DiscussionEvent & RecordedEvent;
  return null;
}
