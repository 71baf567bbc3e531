/** Proofs of single events and between checkpoints, from the evidence alone. */
import { Refusal } from '../refusal.ts';
import type { Evidence } from './evidence.ts';
import { type Entry, entryAt, GENESIS } from './leaf.ts';
import { readNote, type SignedCheckpoint } from './note.ts';
import { proveConsistency, proveInclusion } from './proofs.ts';

/** That an event is in the log that a checkpoint was signed over. */
export interface InclusionProof {
  /** Place of the event, from 0. */
  readonly index: number;
  readonly entry: Entry;
  /** The leaf before, which the event's own leaf is made of. */
  readonly previous: string;
  readonly path: readonly Buffer[];
  readonly signed: SignedCheckpoint;
}

/** The newest checkpoint, null when there is none. Its signature is not checked. */
export async function newestCheckpoint(evidence: Evidence): Promise<SignedCheckpoint | null> {
  const size = (await evidence.sizes()).at(-1);
  return size === undefined ? null : readNote(await evidence.note(size));
}

/**
 * Proves the event at a position under the newest checkpoint.
 * @throws Refusal `not-found` when no checkpoint covers it yet, or no event has that position.
 */
export async function provePosition(evidence: Evidence, position: bigint): Promise<InclusionProof> {
  const signed = await newestCheckpoint(evidence);
  if (signed === null || position > signed.checkpoint.position)
    throw new Refusal('not-found', 'no checkpoint covers this position yet: ask again in a minute');
  const { size } = signed.checkpoint;
  const index = await indexOf(evidence, size, position);
  const entry = index === size ? null : await entryOf(evidence, index);
  if (entry?.position !== position) throw new Refusal('not-found', 'no event has this position');
  const path = await proveInclusion(index, size, evidence.subtree);
  return { index, entry, previous: await leafBefore(evidence, index), path, signed };
}

/** The leaf that the chain had before an index. */
export async function leafBefore(evidence: Evidence, index: number): Promise<string> {
  return index === 0 ? GENESIS : (await entryOf(evidence, index - 1)).leaf;
}

/** Index of the first entry at or behind a position, `size` when there is none. */
export async function indexOf(evidence: Evidence, size: number, position: bigint): Promise<number> {
  let [low, high] = [0, size];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((await entryOf(evidence, middle)).position < position) low = middle + 1;
    else high = middle;
  }
  return low;
}

async function entryOf(evidence: Evidence, index: number): Promise<Entry> {
  const bytes = await evidence.entries(index, index + 1);
  if (bytes === null) throw new Refusal('unavailable', 'leaves of the evidence are missing', { retryable: false });
  return entryAt(bytes, 0);
}

/** That the log of one checkpoint is the beginning of another's. @throws Refusal `not-found` for sizes that have none. */
export async function proveBetween(evidence: Evidence, from: number, to: number) {
  const sizes = new Set(await evidence.sizes());
  for (const size of [from, to])
    if (!sizes.has(size)) throw new Refusal('not-found', `there is no checkpoint of ${size} events`);
  if (from > to) throw new Refusal('invalid', 'the first checkpoint is the smaller one');
  const [first, second] = [await evidence.note(from), await evidence.note(to)];
  return { first, second, path: await proveConsistency(from, to, evidence.subtree) };
}
