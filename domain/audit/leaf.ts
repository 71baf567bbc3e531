/** What stands for one event in the evidence: a hash over all of it and over the leaf before. */
import { hash } from 'node:crypto';
import { canonicalJson, type StoredRecord } from '../codec.ts';

/** The leaf "before" the first event. */
export const GENESIS = '0'.repeat(64);

/** Bytes of one entry in the files of leaves: the event's position, then its leaf. */
export const ENTRY_BYTES = 40;

/** What the evidence keeps of an event. */
export interface Entry {
  readonly position: bigint;
  /** 64 hexadecimal digits. */
  readonly leaf: string;
}

/** Before every position that a log hands out: what somebody put in front of the first event shows, too. */
export const BEFORE_ALL = -(2n ** 52n);

/**
 * SHA-256 over canonical JSON of the event's place, identity, the hashes of its texts as stored, and the leaf before.
 * @param previous the leaf before, `GENESIS` for the first event.
 */
export function leafOf(record: StoredRecord, previous: string): string {
  const { position, stream, revision, id, type, schemaVersion, data, metadata } = record;
  const leaf = {
    data: hash('sha256', data),
    eventId: id,
    metadata: hash('sha256', metadata),
    position: position.toString(),
    previous,
    revision,
    schemaVersion,
    stream,
    type,
  };
  return hash('sha256', canonicalJson(leaf));
}

/** Entries as the bytes of a file of leaves: 8 bytes of position, big-endian, then the 32 of the leaf, each. */
export function packEntries(entries: readonly Entry[]): Buffer {
  const bytes = Buffer.alloc(entries.length * ENTRY_BYTES);
  for (const [i, { position, leaf }] of entries.entries()) {
    bytes.writeBigInt64BE(position, i * ENTRY_BYTES);
    bytes.write(leaf, i * ENTRY_BYTES + 8, 'hex');
  }
  return bytes;
}

/** The entry at an index of such bytes, which must hold it. */
export function entryAt(bytes: Uint8Array, index: number): Entry {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset + index * ENTRY_BYTES, ENTRY_BYTES);
  return { position: buffer.readBigInt64BE(0), leaf: buffer.toString('hex', 8) };
}
