/** Proofs over the Merkle tree, made and checked as RFC 9162 (sections 2.1.3 and 2.1.4) says, and one for many entries. */
import { innerNode, leafNode, splitOf } from './merkle.ts';

/** The hash of the subtree of entries [from, to), which a proof needs one of. */
export type SubtreeHash = (from: number, to: number) => Promise<Buffer>;

/** That the entry at an index is in the tree of that size: its path, from the bottom up. */
export async function proveInclusion(index: number, size: number, subtree: SubtreeHash): Promise<Buffer[]> {
  const path: Buffer[] = [];
  let [from, to] = [0, size];
  while (to - from > 1) {
    const middle = from + splitOf(to - from);
    path.push(index < middle ? await subtree(middle, to) : await subtree(from, middle));
    if (index < middle) to = middle;
    else from = middle;
  }
  return path.reverse();
}

/** The root that an inclusion proof leads to; null for one of the wrong length. */
export function rootOfInclusion(
  index: number,
  size: number,
  entry: Uint8Array,
  path: readonly Uint8Array[],
): Buffer | null {
  if (!(index >= 0 && index < size)) return null;
  let [at, last] = [index, size - 1];
  let node = leafNode(entry);
  for (const sibling of path) {
    if (last === 0) return null;
    if (at % 2 === 1 || at === last) {
      node = innerNode(sibling, node);
      while (at % 2 === 0 && at !== 0) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
    } else node = innerNode(node, sibling);
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  return last === 0 ? node : null;
}

/** That the tree of size `first` is the beginning of that of size `second`. */
export async function proveConsistency(first: number, second: number, subtree: SubtreeHash): Promise<Buffer[]> {
  if (first === 0 || first === second) return [];
  const path: Buffer[] = [];
  let [from, to] = [0, second];
  let whole = true;
  while (first !== to) {
    const middle = from + splitOf(to - from);
    if (first <= middle) {
      path.push(await subtree(middle, to));
      to = middle;
    } else {
      path.push(await subtree(from, middle));
      from = middle;
      whole = false;
    }
  }
  if (!whole) path.push(await subtree(from, to));
  return path.reverse();
}

/** Whether a proof shows that a tree of `first` entries and that root is the beginning of the other. */
export function isConsistent(
  first: { size: number; root: Uint8Array },
  second: { size: number; root: Uint8Array },
  proof: readonly Uint8Array[],
): boolean {
  if (first.size > second.size || first.size < 0) return false;
  if (first.size === second.size) return proof.length === 0 && Buffer.compare(first.root, second.root) === 0;
  // An empty tree is the beginning of every tree.
  if (first.size === 0) return proof.length === 0;
  const path = Number.isInteger(Math.log2(first.size)) ? [first.root, ...proof] : [...proof];
  let [at, last] = [first.size - 1, second.size - 1];
  while (at % 2 === 1) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  const [begin, ...rest] = path;
  if (begin === undefined) return false;
  let [old, grown] = [begin, begin];
  for (const node of rest) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      [old, grown] = [innerNode(node, old), innerNode(node, grown)];
      while (at % 2 === 0 && at !== 0) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
    } else grown = innerNode(grown, node);
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  return last === 0 && Buffer.compare(old, first.root) === 0 && Buffer.compare(grown, second.root) === 0;
}

/**
 * What else is needed to compute the root of a tree from some of its entries: the hash of each largest subtree that holds
 * none of them, from left to right.
 * @param indices of the entries, ascending, each once.
 */
export async function* proveMany(
  indices: readonly number[],
  size: number,
  subtree: SubtreeHash,
): AsyncGenerator<Buffer> {
  const stack = [{ from: 0, to: size, low: 0, high: indices.length }];
  for (let range = stack.pop(); range !== undefined; range = stack.pop()) {
    const { from, to, low, high } = range;
    if (high - low === to - from) continue;
    if (low === high) {
      yield await subtree(from, to);
      continue;
    }
    const middle = from + splitOf(to - from);
    const cut = firstAtLeast(indices, middle, low, high);
    stack.push({ from: middle, to, low: cut, high }, { from, to: middle, low, high: cut });
  }
}

/** The root that entries and such hashes lead to; null when there are too few hashes or too many. */
export function rootOfMany(
  indices: readonly number[],
  size: number,
  entries: readonly Uint8Array[],
  nodes: readonly Uint8Array[],
): Uint8Array | null {
  let used = 0;
  const rootOf = (from: number, to: number, low: number, high: number): Uint8Array | null => {
    if (low === high) return nodes[used++] ?? null;
    const entry = entries[low];
    if (to - from === 1) return entry === undefined ? null : leafNode(entry);
    const middle = from + splitOf(to - from);
    const cut = firstAtLeast(indices, middle, low, high);
    const left = rootOf(from, middle, low, cut);
    const right = rootOf(middle, to, cut, high);
    return left === null || right === null ? null : innerNode(left, right);
  };
  const ascending = indices.every((index, i) => index > (indices[i - 1] ?? -1) && index < size);
  if (!ascending || entries.length !== indices.length || size === 0) return null;
  const root = rootOf(0, size, 0, indices.length);
  return used === nodes.length ? root : null;
}

function firstAtLeast(indices: readonly number[], value: number, low: number, high: number): number {
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((indices[middle] ?? Infinity) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
