/** One reading of a log from its first event on, which grows the chain and the tree as it goes. */
import type { StoredRecord } from '../codec.ts';
import type { EventStore } from '../ports.ts';
import { BEFORE_ALL, ENTRY_BYTES, entryAt, GENESIS, leafOf } from './leaf.ts';
import { createFrontier, type Frontier } from './merkle.ts';

/** A place in the log: everything before it was read. */
export interface Place {
  readonly index: number;
  /** Of the event before. */
  readonly position: bigint;
  readonly leaf: string;
}

export interface LogWalk {
  /** Over what was read. */
  readonly tree: Frontier;
  place(): Place;
  /** The next event, null at the end. */
  next(): Promise<StoredRecord | null>;
  close(): Promise<void>;
}

export interface WalkOptions {
  readonly store: Pick<EventStore, 'readStored'>;
  /** Called now and then between events: whoever has other work to do makes it wait. */
  readonly breathe?: () => Promise<void>;
  readonly signal?: AbortSignal;
}

const BREATHE_EVENTS = 250;

/** Begins a walk; close it. Its `next` throws the signal's reason when that is aborted. */
export function walkLog({ store, breathe, signal }: WalkOptions): LogWalk {
  const records = store.readStored(BEFORE_ALL)[Symbol.asyncIterator]();
  const tree = createFrontier();
  let [leaf, position] = [GENESIS, BEFORE_ALL];
  return {
    tree,
    place: () => ({ index: tree.size, position, leaf }),
    async next() {
      if (tree.size % BREATHE_EVENTS === 0) {
        signal?.throwIfAborted();
        await breathe?.();
      }
      const result = await records.next();
      if (result.done === true) return null;
      const record: StoredRecord = result.value;
      leaf = leafOf(record, leaf);
      position = record.position;
      tree.append(Buffer.from(leaf, 'hex'));
      return record;
    },
    async close() {
      await records.return?.();
    },
  };
}

/**
 * Goes on until as many events were read in all. @param recorded packed entries that the evidence holds from here on.
 * @returns the first place where the log has something else, null when there is none.
 */
export async function walkTo(walk: LogWalk, size: number, recorded: Uint8Array | null): Promise<Place | null> {
  const begin = walk.place();
  let differs: Place | null = null;
  while (walk.tree.size < size) {
    const before = walk.place();
    const record = await walk.next();
    const offset = before.index - begin.index;
    const entry = recorded !== null && offset * ENTRY_BYTES < recorded.length ? entryAt(recorded, offset) : null;
    const same = record !== null && entry?.leaf === walk.place().leaf && entry.position === record.position;
    if (!same) differs ??= before;
    if (record === null) break;
  }
  return differs;
}
