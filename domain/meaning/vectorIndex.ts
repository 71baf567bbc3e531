/** Where vectors are kept and searched. */
import type { Vector } from './embedder.ts';

export const passageKinds = ['message', 'document'] as const;
export type PassageKind = (typeof passageKinds)[number];

/** A part of what somebody said, or of the document a discussion was given; small enough to be embedded. */
export type Passage = {
  /** uuidv5 of event id and number: the same for ever. */
  passageId: string;
  project: string;
  discussionId: string;
  kind: PassageKind;
  /** The agent that said it; null for people and documents. */
  agentId: string | null;
  eventId: string;
  stream: string;
  revision: number;
  position: string;
  /** Which chunk of its text, from 0. */
  chunk: number;
  /** Place in the text of the event, in UTF-16 units, end exclusive. */
  starts: number;
  ends: number;
  /** When it was said, RFC 3339 in UTC. */
  at: string;
  text: string;
};

/** A passage with its vector. */
export interface VectorObject {
  readonly passage: Passage;
  readonly vector: Vector;
}

/** What all vectors of one version have in common. */
export interface IndexSpec {
  /** Name and digest of the model. */
  readonly model: string;
  readonly digest: string | null;
  readonly dimensions: number;
  /** Version of the chunker. */
  readonly chunker: string;
}

/** What passages to look for; all that is not given is not asked for. Held by the store's own query. */
export interface PassageFilter {
  /** Null for all: only for those whose grants say so. */
  readonly projects: readonly string[] | null;
  /** Of these discussions, up to these revisions (null: all). An empty list finds nothing. */
  readonly within?: readonly { readonly discussionId: string; readonly until: number | null }[];
  /** Nothing of these discussions from these revisions on. */
  readonly except?: readonly { readonly discussionId: string; readonly from: number }[];
  readonly kinds?: readonly PassageKind[];
  readonly agentId?: string;
  /** RFC 3339; `from` inclusive, `to` exclusive. */
  readonly from?: string;
  readonly to?: string;
}

export interface PassageHit {
  readonly passage: Passage;
  /** Cosine similarity, −1 to 1. */
  readonly score: number;
}

/**
 * Versions of an index of passages, each in a collection of its own. All vectors of a version have its dimensions.
 *
 * `create` makes a version's collection; where it is there already with the same spec nothing happens, with another one it
 * rejects with `Refusal('conflict')`. `describe` tells the spec, null when there is no such collection (any more).
 * `put` stores objects, an id that is there is replaced as a whole; it resolves when the store has confirmed each of them.
 * When it rejects with `Refusal('unavailable')` some may be stored and not found: whoever repeats it removes them first.
 * Vectors of other dimensions, not finite or all zero, and ids that are no UUIDs are refused as `invalid` before anything is sent. `remove` of what is not
 * there does nothing. What was put or removed shows in the next search.
 * `vectors` gives those of the ids that are stored, by id. `unfindable` tells which of the given objects a search for their
 * own vector does not find, whatever `vectors` says: a store can lose the one and keep the other.
 * `list` gives every object's id and discussion, in order of id, a page at a time.
 * `search` gives the nearest that pass the filter, best first, `limit` of them where there are so many (1 to 1,000).
 * `complete` is called when many were put at once, before a version is searched: it makes what makes searching fast.
 * `drop` of what is not there does nothing. `versions` tells those of this installation, whoever made them.
 * All of them but `create`, `describe`, `drop` and `versions` reject with `Refusal('conflict')` when the version's collection is gone.
 * Everything else that fails, within deadlines of the adapter's, rejects with `Refusal('unavailable')`; its text says what to do and holds no query.
 */
export interface VectorIndex {
  readonly store: 'pgvector' | 'weaviate';
  create(version: number, spec: IndexSpec): Promise<void>;
  describe(version: number): Promise<IndexSpec | null>;
  put(version: number, objects: readonly VectorObject[]): Promise<void>;
  remove(version: number, passageIds: readonly string[]): Promise<void>;
  vectors(version: number, passageIds: readonly string[]): Promise<ReadonlyMap<string, Vector>>;
  unfindable(version: number, objects: readonly { passageId: string; vector: Vector }[]): Promise<string[]>;
  list(version: number): AsyncIterable<readonly { passageId: string; discussionId: string }[]>;
  search(
    version: number,
    wanted: { vector: Vector; filter: PassageFilter; limit: number },
    options: { signal: AbortSignal },
  ): Promise<PassageHit[]>;
  complete(version: number): Promise<void>;
  drop(version: number): Promise<void>;
  versions(): Promise<number[]>;
  /**
   * Another text whenever the store may have lost what it had confirmed, because it was started again; null for a store
   * that loses nothing. Kept by the caller, so that it is noticed after a restart of this process, too.
   */
  incarnation(): Promise<string | null>;
  /** Told when the connection to the store was lost, also between calls; ends with the signal. */
  watch(onLost: () => void, signal: AbortSignal): void;
  close(): Promise<void>;
}
