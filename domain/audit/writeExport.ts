import { createHash } from 'node:crypto';
import type { StoredRecord } from '../codec.ts';
import { Refusal } from '../refusal.ts';
import type { Evidence } from './evidence.ts';
import { EXPORT_FORMAT, type Exported, type ExportLine, type Manifest } from './exportFormat.ts';
import { type Entry, entryAt, GENESIS, leafOf } from './leaf.ts';
import { verifierKey } from './note.ts';
import { newestCheckpoint, indexOf } from './prove.ts';
import { proveMany } from './proofs.ts';

export interface ExportOptions {
  readonly evidence: Evidence;
  readonly origin: string;
  readonly publicKey: Uint8Array;
  readonly what: Exported;
  readonly streams: Manifest['streams'];
  /** RFC 3339. */
  readonly madeAt: string;
  /** Ascending by position. */
  readonly records: AsyncIterable<StoredRecord>;
}

const NODES_PER_LINE = 500;

/**
 * The lines of an export, each with its line feed.
 * @throws Refusal `conflict` in the middle when an event is not the one that the evidence holds, `unavailable`.
 */
export async function* writeExport(options: ExportOptions): AsyncGenerator<string> {
  const { evidence, origin, publicKey, what, streams, madeAt, records } = options;
  const signed = await newestCheckpoint(evidence);
  const size = signed?.checkpoint.size ?? 0;
  const hash = createHash('sha256');
  const line = (value: ExportLine): string => {
    const text = `${JSON.stringify(value)}\n`;
    hash.update(text);
    return text;
  };
  const key = verifierKey(origin, publicKey);
  const checkpoint = signed?.note ?? null;
  yield line({ kind: 'manifest', format: EXPORT_FORMAT, origin, what, streams, madeAt, checkpoint, publicKey: key });
  const indices: number[] = [];
  let events = 0;
  for await (const record of records) {
    const covered = signed !== null && record.position <= signed.checkpoint.position;
    const proven = covered ? await placeOf(evidence, size, record) : { index: null, previous: null };
    if (proven.index !== null) indices.push(proven.index);
    const { stream, revision, id, type, schemaVersion, data, metadata } = record;
    const position = record.position.toString();
    yield line({ kind: 'event', ...proven, position, stream, revision, id, type, schemaVersion, data, metadata });
    events += 1;
  }
  let nodes: string[] = [];
  for await (const node of proveMany(indices, size, evidence.subtree)) {
    if (nodes.length === NODES_PER_LINE) {
      yield line({ kind: 'proof', nodes });
      nodes = [];
    }
    nodes.push(node.toString('base64'));
  }
  yield line({ kind: 'proof', nodes });
  yield line({ kind: 'end', events, covered: indices.length, sha256: hash.copy().digest('hex') });
}

async function placeOf(evidence: Evidence, size: number, record: StoredRecord) {
  // Where positions have no gaps the index follows; elsewhere it is looked for.
  const guess = Number(record.position) - 1;
  const guessed = guess >= 0 && guess < size ? await around(evidence, guess) : null;
  const index = guessed?.entry.position === record.position ? guess : await indexOf(evidence, size, record.position);
  const { entry, previous } = index === guess && guessed !== null ? guessed : await around(evidence, index);
  if (leafOf(record, previous) !== entry.leaf)
    throw new Refusal(
      'conflict',
      `the event at position ${record.position} is not what the evidence holds: verify the log`,
    );
  return { index, previous };
}

/** The entry at an index, and the leaf before. */
async function around(evidence: Evidence, index: number): Promise<{ entry: Entry; previous: string }> {
  const bytes = await evidence.entries(Math.max(0, index - 1), index + 1);
  if (bytes === null) throw new Refusal('unavailable', 'leaves of the evidence are missing', { retryable: false });
  if (index === 0) return { entry: entryAt(bytes, 0), previous: GENESIS };
  return { entry: entryAt(bytes, 1), previous: entryAt(bytes, 0).leaf };
}
