/** The evidence of a log, kept apart from it: files of leaves, and signed checkpoints over them. Nothing is ever replaced. */
import { type ObjectStore, objectBytes } from '../objectStore.ts';
import { Refusal } from '../refusal.ts';
import { type Entry, ENTRY_BYTES, entryAt, packEntries } from './leaf.ts';
import { innerNode, leafNode, splitOf } from './merkle.ts';
import { readNote, type SignedCheckpoint } from './note.ts';
import type { SubtreeHash } from './proofs.ts';

export interface Evidence {
  /** Sizes of the checkpoints, ascending. */
  sizes(): Promise<number[]>;
  /** The note of a checkpoint as it stands there. @throws Refusal `not-found`. */
  note(size: number): Promise<string>;
  /** Packed entries [from, to), null when some are not there. */
  entries(from: number, to: number): Promise<Buffer | null>;
  /** The hash over entries [from, to). @throws Refusal `unavailable` when some are not there. */
  readonly subtree: SubtreeHash;
  /** Adds entries behind `from`, then the checkpoint over them. @throws Refusal `conflict` when others stand there. */
  add(from: number, entries: readonly Entry[], signed: SignedCheckpoint): Promise<void>;
  /** Puts a public key beside the checkpoints, for people. */
  showKey(id: string, verifierKey: string): Promise<void>;
}

interface Segment {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

const LEAVES = /^leaves\/(\d{12})-(\d{12})$/;
const CHECKPOINT = /^checkpoints\/(\d{12})\.note$/;
/** Hashes of complete subtrees from this size on are kept in memory: at a million events 2,000 of 32 bytes. */
const KEPT_FROM = 1024;

/** @param objects the place; one place holds the evidence of one log. */
export function openEvidence(objects: ObjectStore): Evidence {
  const leaves = openLeaves(objects);
  const subtree = keptSubtrees(leaves);
  return {
    entries: leaves,
    subtree,
    async sizes() {
      const found = await objects.list('checkpoints/');
      return found.flatMap(({ name }) => CHECKPOINT.exec(name)?.[1] ?? []).map(Number);
    },
    note: async (size) => Buffer.from(await objectBytes(objects, checkpointName(size))).toString('utf8'),
    async add(from, entries, signed) {
      const { size, root, leaf } = signed.checkpoint;
      const name = `leaves/${padded(from)}-${padded(size)}`;
      const bytes = packEntries(entries);
      await putOnce(objects, name, bytes, (there) => Buffer.compare(there, bytes) === 0);
      await putOnce(objects, checkpointName(size), Buffer.from(signed.note), (there) => {
        const { checkpoint } = readNote(Buffer.from(there).toString('utf8'));
        return checkpoint.root.equals(root) && checkpoint.leaf === leaf;
      });
    },
    async showKey(id, verifierKey) {
      const name = `keys/${id}.txt`;
      await putOnce(objects, name, Buffer.from(`${verifierKey}\n`), () => true);
    },
  };
}

/** Another process may have written the same: then it is the same evidence. */
async function putOnce(
  objects: ObjectStore,
  name: string,
  bytes: Uint8Array,
  isSame: (there: Uint8Array) => boolean,
): Promise<void> {
  try {
    await objects.put(name, bytes);
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== 'conflict') throw error;
    if (!isSame(await objectBytes(objects, name)))
      throw new Refusal('conflict', `the evidence holds another ${name} than follows from the log`, { cause: error });
  }
}

function openLeaves(objects: ObjectStore): Evidence['entries'] {
  let segments: Segment[] = [];
  let last: { name: string; bytes: Uint8Array } | null = null;
  // Several may hold an entry: two processes, or one that was killed between its leaves and their checkpoint.
  const holding = (index: number): Segment | undefined =>
    segments.filter(({ from, to }) => from <= index && index < to).reduce<Segment | undefined>(longer, undefined);
  const find = async (index: number): Promise<Segment | undefined> => {
    const known = holding(index);
    if (known !== undefined) return known;
    segments = (await objects.list('leaves/')).flatMap(asSegment);
    return holding(index);
  };
  return async (from, to) => {
    const parts: Uint8Array[] = [];
    for (let at = from; at < to;) {
      const segment = await find(at);
      if (segment === undefined) return null;
      if (last?.name !== segment.name) last = { name: segment.name, bytes: await bytesOf(objects, segment) };
      const end = Math.min(to, segment.to);
      const part = last.bytes.subarray((at - segment.from) * ENTRY_BYTES, (end - segment.from) * ENTRY_BYTES);
      if (part.length !== (end - at) * ENTRY_BYTES) return null;
      parts.push(part);
      at = end;
    }
    return Buffer.concat(parts);
  };
}

/** Nothing when the file is gone since it was listed. */
async function bytesOf(objects: ObjectStore, { name }: Segment): Promise<Uint8Array> {
  return objectBytes(objects, name).catch((error: unknown) => {
    if (error instanceof Refusal && error.code === 'not-found') return new Uint8Array();
    throw error;
  });
}

function longer(best: Segment | undefined, segment: Segment): Segment {
  return best === undefined || segment.to > best.to ? segment : best;
}

function asSegment({ name, sizeBytes }: { name: string; sizeBytes: number }): Segment[] {
  const [, from, to] = LEAVES.exec(name) ?? [];
  const segment = { name, from: Number(from), to: Number(to) };
  // One that is too short is as good as none; whoever reads through it is told that entries are missing.
  return sizeBytes === (segment.to - segment.from) * ENTRY_BYTES ? [segment] : [];
}

function keptSubtrees(entries: Evidence['entries']): SubtreeHash {
  const kept = new Map<string, Buffer>();
  const compute = async (from: number, to: number): Promise<Buffer> => {
    if (to - from > KEPT_FROM) {
      const middle = from + splitOf(to - from);
      return innerNode(await subtree(from, middle), await subtree(middle, to));
    }
    const bytes = await entries(from, to);
    if (bytes === null) throw new Refusal('unavailable', 'leaves of the evidence are missing', { retryable: false });
    return rootOf(bytes, 0, to - from);
  };
  const subtree: SubtreeHash = async (from, to) => {
    const size = to - from;
    // A subtree of another size may still grow into one that has the same place.
    if (size < KEPT_FROM || !Number.isInteger(Math.log2(size))) return compute(from, to);
    const known = kept.get(`${from}-${to}`) ?? (await compute(from, to));
    kept.set(`${from}-${to}`, known);
    return known;
  };
  return subtree;
}

/** Of packed entries. */
function rootOf(bytes: Uint8Array, from: number, to: number): Buffer {
  if (to - from === 1) return leafNode(Buffer.from(entryAt(bytes, from).leaf, 'hex'));
  const middle = from + splitOf(to - from);
  return innerNode(rootOf(bytes, from, middle), rootOf(bytes, middle, to));
}

function checkpointName(size: number): string {
  return `checkpoints/${padded(size)}.note`;
}

function padded(value: number): string {
  return String(value).padStart(12, '0');
}
