/** The Merkle tree against the vectors of Certificate Transparency, and its proofs against every tree of up to 70 entries. */
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { createFrontier, EMPTY_ROOT, innerNode, leafNode, splitOf } from '../../../domain/audit/merkle.ts';
import {
  isConsistent,
  proveConsistency,
  proveInclusion,
  proveMany,
  rootOfInclusion,
  rootOfMany,
} from '../../../domain/audit/proofs.ts';
import { collect } from '../../contracts/sampleEvents.ts';
import { suite } from '../../harness.ts';

const test = suite('Merkle tree');

const LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const A = '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7';
const B = '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e';
const C = '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4';
const D = 'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b';
const E = 'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0';
const F = '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a';
const INCLUSION = [
  { index: 0, size: 8, path: [A, B, C] },
  { index: 5, size: 8, path: [D, E, ROOTS[4]] },
  { index: 2, size: 3, path: [ROOTS[2]] },
  { index: 1, size: 5, path: [ROOTS[1], B, D] },
];
const CONSISTENCY = [
  { from: 1, to: 8, path: [A, B, C] },
  { from: 6, to: 8, path: [F, E, ROOTS[4]] },
  { from: 2, to: 5, path: [B, D] },
];

const vectors = LEAVES.map((text) => Buffer.from(text, 'hex'));
const hex = (nodes: readonly Uint8Array[]) => nodes.map((node) => Buffer.from(node).toString('hex'));

function rootOf(entries: readonly Uint8Array[]): Buffer {
  const [first] = entries;
  if (first === undefined) return EMPTY_ROOT;
  if (entries.length === 1) return leafNode(first);
  const middle = splitOf(entries.length);
  return innerNode(rootOf(entries.slice(0, middle)), rootOf(entries.slice(middle)));
}

const subtreeOf = (entries: readonly Uint8Array[]) => async (from: number, to: number) =>
  rootOf(entries.slice(from, to));

test('roots are those of Certificate Transparency, also while it grows', () => {
  const tree = createFrontier();
  for (const [size, root] of ROOTS.entries()) {
    assert.is(rootOf(vectors.slice(0, size)).toString('hex'), root);
    assert.is(tree.root().toString('hex'), root);
    assert.is(tree.size, size);
    const entry = vectors[size];
    if (entry !== undefined) tree.append(entry);
  }
});

test('inclusion and consistency proofs are those of Certificate Transparency', async () => {
  const subtree = subtreeOf(vectors);
  for (const { index, size, path } of INCLUSION) assert.equal(hex(await proveInclusion(index, size, subtree)), path);
  for (const { from, to, path } of CONSISTENCY) assert.equal(hex(await proveConsistency(from, to, subtree)), path);
});

const entries = Array.from({ length: 70 }, (_, i) => Buffer.from(`entry ${i}`));
const roots = Array.from({ length: 71 }, (_, size) => rootOf(entries.slice(0, size)));
const at = <T>(list: readonly T[], index: number): T => {
  const value = list[index];
  if (value === undefined) throw new Error(`nothing at ${index}`);
  return value;
};

test('every entry of every tree is proven by its path, and by no other', async () => {
  for (let size = 1; size <= 70; size += 1)
    for (let index = 0; index < size; index += 1) {
      const path = await proveInclusion(index, size, subtreeOf(entries));
      const root = (where: number, entry: Buffer, by: readonly Buffer[]) =>
        rootOfInclusion(where, size, entry, by)?.equals(at(roots, size)) ?? false;
      assert.ok(root(index, at(entries, index), path), `${index} of ${size}`);
      assert.not(root(index, Buffer.from('other'), path));
      assert.not(root((index + 1) % size, at(entries, index), path) && size > 1);
      assert.not(root(index, at(entries, index), [...path, EMPTY_ROOT]));
      if (size > 1) assert.not(root(index, at(entries, index), path.slice(1)));
    }
});

test('every tree is shown to be the beginning of every later one, and a forged one is not', async () => {
  for (let to = 1; to <= 70; to += 1)
    for (let from = 0; from <= to; from += 1) {
      const path = await proveConsistency(from, to, subtreeOf(entries));
      const [first, second] = [
        { size: from, root: at(roots, from) },
        { size: to, root: at(roots, to) },
      ];
      assert.ok(isConsistent(first, second, path), `${from} to ${to}`);
      if (from === 0) continue;
      assert.not(isConsistent({ ...first, root: Buffer.alloc(32, 1) }, second, path));
      assert.not(isConsistent(first, { ...second, root: Buffer.alloc(32, 1) }, path));
      assert.not(isConsistent(first, second, [...path, EMPTY_ROOT]));
      assert.not(isConsistent({ ...first, size: to + 1 }, second, path));
    }
});

test('any choice of entries is proven at once, and a choice with one changed or left out is not', async () => {
  const choice = fc.tuple(fc.integer({ min: 1, max: 70 }), fc.uniqueArray(fc.integer({ min: 0, max: 69 })));
  await fc.assert(
    fc.asyncProperty(choice, async ([size, wanted]) => {
      const indices = wanted.filter((index) => index < size).sort((a, b) => a - b);
      const chosen = indices.map((index) => at(entries, index));
      const nodes = await collect(proveMany(indices, size, subtreeOf(entries)));
      const proves = (list: readonly number[], texts: readonly Uint8Array[], by: readonly Uint8Array[]) => {
        const root = rootOfMany(list, size, texts, by);
        return root !== null && Buffer.compare(root, at(roots, size)) === 0;
      };
      assert.ok(proves(indices, chosen, nodes));
      assert.not(proves(indices, chosen, [...nodes, EMPTY_ROOT]));
      if (indices.length === 0) return;
      assert.not(proves(indices, [...chosen.slice(1), Buffer.from('other')], nodes));
      assert.not(proves(indices.slice(1), chosen.slice(1), nodes));
      assert.not(proves([...indices].reverse(), chosen, nodes) && indices.length > 1);
    }),
    { numRuns: 300 },
  );
});

test.run();
