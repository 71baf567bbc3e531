/** The Merkle tree of RFC 9162, section 2.1: hashes, and a tree that grows at its right end. */
import { hash } from 'node:crypto';

/** Root of the tree without entries. */
export const EMPTY_ROOT = hash('sha256', '', 'buffer');

/** A tree that only grows: keeps one hash for each complete subtree at its right edge. */
export interface Frontier {
  readonly size: number;
  append(entry: Uint8Array): void;
  root(): Buffer;
  /** Another one that grows on its own. */
  copy(): Frontier;
}

/** The tree's hash of one entry. */
export function leafNode(entry: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(entry.length + 1);
  bytes[0] = 0;
  bytes.set(entry, 1);
  return hash('sha256', bytes, 'buffer');
}

/** The hash of two subtrees. */
export function innerNode(left: Uint8Array, right: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(65);
  bytes[0] = 1;
  bytes.set(left, 1);
  bytes.set(right, 33);
  return hash('sha256', bytes, 'buffer');
}

/** Where a tree of as many entries is split: the largest power of two below. @param size at least 2. */
export function splitOf(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

interface Subtree {
  readonly size: number;
  readonly node: Buffer;
}

/** @param subtrees complete ones, largest first; none for an empty tree. */
export function createFrontier(subtrees: readonly Subtree[] = []): Frontier {
  const edge = [...subtrees];
  let size = edge.reduce((sum, subtree) => sum + subtree.size, 0);
  return {
    get size() {
      return size;
    },
    append(entry) {
      size += 1;
      let grown: Subtree = { size: 1, node: leafNode(entry) };
      for (let last = edge.at(-1); last?.size === grown.size; last = edge.at(-1)) {
        grown = { size: grown.size * 2, node: innerNode(last.node, grown.node) };
        edge.pop();
      }
      edge.push(grown);
    },
    root: () => (edge.length === 0 ? EMPTY_ROOT : edge.map(({ node }) => node).reduceRight(fold)),
    copy: () => createFrontier(edge),
  };
}

function fold(right: Buffer, left: Buffer): Buffer {
  return innerNode(left, right);
}
