import type { DiscussionEvent, DiscussionEventData } from '../domain/discussion/events.ts';
import { placeOf } from '../domain/discussion/evolve.ts';
import {
  EMPTY_PREFIX_HASH,
  emptyPrefix,
  longerPrefix,
  nextPrefixHash,
  type Prefix,
} from '../domain/discussion/fork.ts';
import type { ExistingDiscussion } from '../domain/discussion/state.ts';
import type { RecordedEvent } from '../domain/envelope.ts';
import type { EventStore } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { lineageOf, readParts } from './lineage.ts';

/**
 * The history that a fork shares, read from the log, with the parent's events up to `revision` last.
 * @returns it, and the hash of the parent's part.
 * @throws Refusal `internal` when an ancestor's events are not those that were forked.
 */
export async function readPrefix(
  store: EventStore,
  parentId: string,
  revision: number,
): Promise<{ prefix: Prefix; prefixHash: string }> {
  const parts = (await lineageOf(store, parentId)).map((part) => ({ ...part, until: part.until ?? revision }));
  let prefix = emptyPrefix;
  for await (const { event } of readParts(store, parts)) {
    prefix = longerPrefix(prefix, event as DiscussionEvent & RecordedEvent, placeOf(event));
    if (event.type === 'DiscussionForked') await checkPrefix(store, prefix.state as ExistingDiscussion);
  }
  return { prefix, prefixHash: await prefixHashOf(store, parentId, revision) };
}

/**
 * The state that a fork's first event continues.
 * @throws Refusal `internal` when the ancestors' events are not those that were forked.
 */
export async function inheritedState(
  store: EventStore,
  forked: DiscussionEventData<'DiscussionForked'>,
): Promise<ExistingDiscussion> {
  const { prefix, prefixHash } = await readPrefix(store, forked.from, forked.revision);
  if (prefix.state.status === 'none' || prefixHash !== forked.prefixHash) throw changed(forked.from);
  return prefix.state;
}

async function checkPrefix(store: EventStore, { forkedFrom }: ExistingDiscussion): Promise<void> {
  if (forkedFrom === null) return;
  const { discussionId, revision, prefixHash } = forkedFrom;
  if ((await prefixHashOf(store, discussionId, revision)) !== prefixHash) throw changed(discussionId);
}

async function prefixHashOf(store: EventStore, discussionId: string, revision: number): Promise<string> {
  let hash = EMPTY_PREFIX_HASH;
  let last = -1;
  for await (const stored of store.readStored(0n, { stream: `discussion-${discussionId}`, limit: revision + 1 })) {
    hash = nextPrefixHash(hash, stored);
    last = stored.revision;
  }
  if (last !== revision) throw changed(discussionId);
  return hash;
}

function changed(discussionId: string): Refusal {
  return new Refusal(
    'internal',
    `the events of discussion ${discussionId} are not those that were forked: check the log with \`colloquy events verify\``,
  );
}
