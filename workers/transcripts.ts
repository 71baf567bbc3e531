import { LRUCache } from 'lru-cache';
import { textOf } from '../domain/content.ts';
import type { DiscussionEvent, DiscussionEventData } from '../domain/discussion/events.ts';
import type { ExistingDiscussion } from '../domain/discussion/state.ts';
import { streamId, type RecordedEvent } from '../domain/envelope.ts';
import type { EventStore } from '../domain/ports.ts';
import type { Utterance } from '../domain/prompt/render.ts';

/** A message of the log; its author by name, or by the participant whose name the state knows. */
interface Said {
  readonly revision: number;
  readonly text: string;
  readonly author: { readonly name: string } | { readonly participantId: string };
}

interface Kept {
  readonly contextText: string | null;
  readonly said: Said[];
  /** Messages from this revision on are kept. */
  from: number;
  /** The next event that was not read yet. */
  next: number;
}

/** The last messages of the discussions this process works for, kept up to date by the relay: a turn reads only what is new. */
export interface Transcripts {
  /** Takes note of an event that the relay has seen. */
  observe(event: RecordedEvent): void;
  /** The document a discussion was given. */
  contextText(discussionId: string): Promise<string | null>;
  /** The messages of a window, both revisions inclusive, in order. */
  window(
    discussionId: string,
    state: ExistingDiscussion,
    window: { from: number; to: number } | null,
  ): Promise<Utterance[]>;
}

const MAX_DISCUSSIONS = 500;
/** More than any window shows; the messages of a discussion whose turns run elsewhere would pile up for ever. */
const MAX_SAID = 1000;

/** @param store where what is not kept is read. */
export function createTranscripts(store: EventStore): Transcripts {
  const cache = new LRUCache<string, Kept>({ max: MAX_DISCUSSIONS });
  const keptSince = async (discussionId: string, from: number): Promise<Kept> => {
    const found = cache.get(discussionId);
    if (found !== undefined && found.from <= from) return found;
    const fresh = {
      contextText: found?.contextText ?? (await openedContext(store, discussionId)),
      said: [],
      from,
      next: from,
    };
    cache.set(discussionId, fresh);
    return fresh;
  };
  return {
    observe(event) {
      const kept = event.stream.startsWith('discussion-') ? cache.get(streamId(event.stream)) : undefined;
      if (kept?.next !== event.revision) return;
      take(kept, event);
      if (kept.said.length <= MAX_SAID) return;
      kept.said.splice(0, MAX_SAID / 2);
      kept.from = kept.said[0]?.revision ?? kept.next;
    },
    async contextText(discussionId) {
      const found = cache.get(discussionId);
      // From a revision that no message has: the window that follows says from where messages are needed.
      return (found ?? (await keptSince(discussionId, Number.MAX_SAFE_INTEGER))).contextText;
    },
    async window(discussionId, state, window) {
      if (window === null) return [];
      const kept = await keptSince(discussionId, window.from);
      if (kept.next <= window.to)
        // To the end of the stream, not of the window: what stands between them the relay has told already, and without it
        // nothing that it tells later would follow, so that every turn would read again.
        for await (const event of store.read(`discussion-${discussionId}`, { from: kept.next }))
          if (event.revision === kept.next) take(kept, event);
      while (kept.said[0] !== undefined && kept.said[0].revision < window.from) kept.said.shift();
      kept.from = window.from;
      return kept.said.filter(({ revision }) => revision <= window.to).map((each) => utterance(each, state));
    },
  };
}

async function openedContext(store: EventStore, discussionId: string): Promise<string | null> {
  for await (const event of store.read(`discussion-${discussionId}`, { limit: 1 }))
    if (event.type === 'DiscussionOpened')
      return (event.data as DiscussionEventData<'DiscussionOpened'>).context.text ?? null;
  return null;
}

function take(kept: Kept, recorded: RecordedEvent): void {
  const event = recorded as DiscussionEvent & RecordedEvent;
  kept.next = recorded.revision + 1;
  const at = { revision: recorded.revision };
  if (event.type === 'MessagePosted')
    kept.said.push({ ...at, text: textOf(event.data.content), author: { name: event.data.author.name } });
  if (event.type === 'TurnCompleted')
    kept.said.push({ ...at, text: textOf(event.data.content), author: { participantId: event.data.participantId } });
}

function utterance({ revision, text, author }: Said, state: ExistingDiscussion): Utterance {
  if ('name' in author) return { revision, text, author: author.name };
  return {
    revision,
    text,
    author: state.participants.find((each) => each.participantId === author.participantId)?.name ?? 'somebody',
  };
}
