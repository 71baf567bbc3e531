/** What the search rows measure: a store behind our port, and the same store asked by hand. */
import type { Vector } from '../../domain/meaning/embedder.ts';
import type { PassageFilter, VectorIndex, VectorObject } from '../../domain/meaning/vectorIndex.ts';

export interface SearchStore {
  readonly index: VectorIndex;
  readonly raw: {
    /** Makes the collection of a version as ours is made. */
    create(version: number): Promise<void>;
    /** One call to the store: neither checked before nor looked at afterwards. */
    put(version: number, objects: readonly VectorObject[]): Promise<void>;
    /** Makes the index of the vectors; null where it grows with every write. */
    readonly complete: ((version: number) => Promise<void>) | null;
    /** Ids; in the collection of the port. */
    search(version: number, wanted: { vector: Vector; filter: PassageFilter; limit: number }): Promise<string[]>;
    drop(version: number): Promise<void>;
  };
  close(): Promise<void>;
}

export const RAW_DEADLINE_MS = 60_000;
