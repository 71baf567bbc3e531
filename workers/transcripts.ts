import { LRUCache } from 'lru-cache';
import { readParts } from '../commands/lineage.ts';
import type { DiscussionEvent, DiscussionEventData } from '../domain/discussion/events.ts';
import { partsOf } from '../domain/discussion/lineage.ts';
import type { ExistingDiscussion } from '../domain/discussion/state.ts';
import { streamId, type RecordedEvent } from '../domain/envelope.ts';
import type { EventStore } from '../domain/ports.ts';
import { saidIn, utteranceOf, type Said } from '../domain/prompt/material.ts';
import type { Utterance } from '../domain/prompt/render.ts';

interface Kept {
  readonly contextText: string | null;
  readonly said: Said[];
  /** Events of its ancestors: what its revisions are counted from in the lineage. */
  readonly offset: number;
  /** Messages from this place of the lineage on are kept. */
  from: number;
  /** Place of the next event that was not read yet. */
  next: number;
}

type Observed = Pick<RecordedEvent, 'stream' | 'revision' | 'type' | 'data'>;

/** The last messages of the discussions this process works for, kept up to date by the relay: a turn reads only what is new. */
export interface Transcripts {
  /** Takes note of an event that the relay has seen, or that was appended here. */
  observe(event: Observed): void;
  /** The document a discussion was given, or the one it was forked from. */
  contextText(discussionId: string, state: ExistingDiscussion): Promise<string | null>;
  /** The messages of a window, both places inclusive, in order. */
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
  const keptSince = async (discussionId: string, state: ExistingDiscussion, from: number): Promise<Kept> => {
    const found = cache.get(discussionId);
    if (found !== undefined && found.from <= from) return found;
    const fresh = {
      contextText: found?.contextText ?? (await openedContext(store, state.ancestors[0]?.discussionId ?? discussionId)),
      said: [],
      offset: state.offset,
      from,
      next: from,
    };
    cache.set(discussionId, fresh);
    return fresh;
  };
  return {
    observe(event) {
      const kept = event.stream.startsWith('discussion-') ? cache.get(streamId(event.stream)) : undefined;
      if (kept === undefined || kept.next !== kept.offset + event.revision) return;
      take(kept, event, kept.next);
      if (kept.said.length <= MAX_SAID) return;
      kept.said.splice(0, MAX_SAID / 2);
      kept.from = kept.said[0]?.revision ?? kept.next;
    },
    async contextText(discussionId, state) {
      const found = cache.get(discussionId);
      // From a place that no message has: the window that follows says from where messages are needed.
      return (found ?? (await keptSince(discussionId, state, Number.MAX_SAFE_INTEGER))).contextText;
    },
    async window(discussionId, state, window) {
      if (window === null) return [];
      const kept = await keptSince(discussionId, state, window.from);
      if (kept.next <= window.to)
        // To the end of the stream, not of the window: what stands between them the relay has told already, and without it
        // nothing that it tells later would follow, so that every turn would read again.
        for await (const { event, index } of readParts(store, partsOf(discussionId, state.ancestors), {
          from: kept.next,
        }))
          if (index === kept.next) take(kept, event, index);
      while (kept.said[0] !== undefined && kept.said[0].revision < window.from) kept.said.shift();
      kept.from = window.from;
      return kept.said.filter(({ revision }) => revision <= window.to).map((each) => utteranceOf(each, state));
    },
  };
}

async function openedContext(store: EventStore, discussionId: string): Promise<string | null> {
  for await (const event of store.read(`discussion-${discussionId}`, { limit: 1 }))
    if (event.type === 'DiscussionOpened')
      return (event.data as DiscussionEventData<'DiscussionOpened'>).context.text ?? null;
  return null;
}

function take(kept: Kept, recorded: Observed, index: number): void {
  kept.next = index + 1;
  const said = saidIn(recorded as Observed & DiscussionEvent, index);
  if (said !== null) kept.said.push(said);
}
