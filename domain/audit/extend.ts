/** Where the evidence of a log ends, and how it goes on. */
import type { EventStore } from '../ports.ts';
import { Refusal } from '../refusal.ts';
import type { Evidence } from './evidence.ts';
import { BEFORE_ALL, type Entry, entryAt, GENESIS, leafOf } from './leaf.ts';
import { createFrontier, type Frontier, splitOf } from './merkle.ts';
import { originOf, readNote, signCheckpoint, signedBy, type Signer } from './note.ts';

/** The end of the evidence, to which events are added. */
export interface Extension {
  /** Events under the last checkpoint. */
  readonly covered: number;
  /** Events read since. */
  readonly waiting: readonly Entry[];
  /** Reads up to `limit` more events. @returns how many there were. */
  read(limit: number): Promise<number>;
  /** Writes what is waiting, with a checkpoint over it. @param at RFC 3339. */
  write(at: string): Promise<void>;
  /** @throws Refusal `conflict` when the log's last covered event is not there any more, or another one. */
  check(): Promise<void>;
}

export interface ExtendOptions {
  readonly store: Pick<EventStore, 'readStored' | 'lineage'>;
  readonly evidence: Evidence;
  readonly signer: Signer;
  /** Older keys that are trusted, too. */
  readonly trusted: readonly Uint8Array[];
}

interface End {
  readonly tree: Frontier;
  readonly leaf: string;
  readonly position: bigint;
  /** Of the event before the last one: the last one is checked by them. */
  readonly previous: { readonly position: bigint; readonly leaf: string };
}

const BEGINNING: Entry = { position: BEFORE_ALL, leaf: GENESIS };

/**
 * Takes up the evidence where it ends.
 * @throws Refusal `conflict` when it is of another log, not signed by a trusted key, or its leaves do not lead to its root.
 */
export async function extendEvidence(options: ExtendOptions): Promise<Extension> {
  const { store, evidence, signer } = options;
  const origin = originOf(await store.lineage());
  let end = await endOf(options, origin);
  // What was read, beyond `end`.
  let { leaf, position } = end;
  const tree = end.tree.copy();
  let waiting: Entry[] = [];
  return {
    get covered() {
      return end.tree.size;
    },
    get waiting() {
      return waiting;
    },
    async read(limit) {
      let count = 0;
      for await (const record of store.readStored(position, { limit })) {
        leaf = leafOf(record, leaf);
        position = record.position;
        tree.append(Buffer.from(leaf, 'hex'));
        waiting.push({ position, leaf });
        count += 1;
      }
      return count;
    },
    async write(at) {
      if (waiting.length === 0) return;
      const checkpoint = { origin, size: tree.size, root: tree.root(), position, leaf, at };
      await evidence.add(end.tree.size, waiting, signCheckpoint(checkpoint, signer));
      end = { tree: tree.copy(), leaf, position, previous: waiting.at(-2) ?? end };
      waiting = [];
    },
    async check() {
      if (end.tree.size === 0) return;
      for await (const record of store.readStored(end.previous.position, { limit: 1 }))
        if (record.position === end.position && leafOf(record, end.previous.leaf) === end.leaf) return;
      throw new Refusal('conflict', `the log has another event at position ${end.position} than the evidence, or none`);
    },
  };
}

async function endOf({ evidence, signer, trusted }: ExtendOptions, origin: string): Promise<End> {
  const size = (await evidence.sizes()).at(-1);
  if (size === undefined) return { tree: createFrontier(), leaf: GENESIS, position: BEFORE_ALL, previous: BEGINNING };
  const note = await evidence.note(size);
  const { checkpoint } = readNote(note);
  const refuse = (why: string): never => {
    throw new Refusal('conflict', `the evidence cannot be continued: its newest checkpoint ${why}`);
  };
  if (signedBy(note, [signer.publicKey, ...trusted]) === null) refuse('is not signed by a key that is trusted here');
  if (checkpoint.origin !== origin) refuse(`is of another log, ${checkpoint.origin}: give this log a place of its own`);
  const tree = createFrontier(await subtreesOf(evidence, size));
  if (!tree.root().equals(checkpoint.root)) refuse('does not fit its leaves');
  const last = await evidence.entries(Math.max(0, size - 2), size);
  const previous = last === null || size < 2 ? BEGINNING : entryAt(last, 0);
  return { tree, leaf: checkpoint.leaf, position: checkpoint.position, previous };
}

/** The complete subtrees that a tree of that size consists of, largest first. */
async function subtreesOf(evidence: Evidence, total: number) {
  const subtrees = [];
  for (let from = 0; from < total;) {
    const left = total - from;
    const size = left === 1 ? 1 : Math.max(splitOf(left), Number.isInteger(Math.log2(left)) ? left : 0);
    subtrees.push({ size, node: await evidence.subtree(from, from + size) });
    from += size;
  }
  return subtrees;
}
