/** Verifies a version of the index: that it holds what the ledger says, finds it, and that its vectors are those of the texts. */
import type { Vector } from '../../domain/meaning/embedder.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { LedgerRow } from '../embeddings.ts';
import { embedPassages } from './embedPassages.ts';
import { ledgerPages, passagesFromLog } from './ledger.ts';
import { hashOf } from '../rebuild/source.ts';
import type { Verified } from '../rebuild/target.ts';
import { auditIndex, type IndexParts } from './audit.ts';

export interface VerifyIndexOptions {
  /** Up to this position, inclusive. */
  readonly to: bigint;
  readonly signal: AbortSignal;
  readonly onPage: () => Promise<void>;
}

/** Passages whose vectors are made again and compared, and looked for. */
const SAMPLES = 100;
/** Models on other hardware differ in the last digits; a mended vector is changed by a little. */
const SAME = 0.999;

/** Passages of one discussion: how many, and a sum over their ids that does not depend on order. */
type Counts = Map<string, { count: number; sum: number }>;

/** @throws Refusal `internal` that names what differs. */
export async function verifyIndex(parts: IndexParts, options: VerifyIndexOptions): Promise<Verified> {
  const { knex, index, version } = parts;
  const { to, signal, onPage } = options;
  const expected: Counts = new Map();
  const actual: Counts = new Map();
  const samples = createSamples();
  for await (const rows of ledgerPages(knex, { version, after: 0n, to })) {
    for (const row of rows) {
      count(expected, row);
      samples.offer(row);
    }
    await onPage();
  }
  for await (const page of index.list(version)) {
    for (const each of page) count(actual, each);
    await onPage();
  }
  const [rows, checksum] = compare(version, expected, actual);
  const kept = samples.kept();
  await compareVectors(parts, kept, signal);
  const vectors = await index.vectors(version, idsOf(kept));
  const held = [...vectors].map(([passageId, vector]) => ({ passageId, vector }));
  // One that is not found says that there may be more.
  if ((await index.unfindable(version, held)).length > 0)
    await auditIndex(parts, { version, after: 0n, to, repair: true, signal, onPage });
  return { table: 'vectors', rows, checksum };
}

function idsOf(rows: readonly LedgerRow[]): string[] {
  return rows.map(({ passageId }) => passageId);
}

function count(counts: Counts, { discussionId, passageId }: Pick<LedgerRow, 'discussionId' | 'passageId'>): void {
  const { count: before, sum } = counts.get(discussionId) ?? { count: 0, sum: 0 };
  counts.set(discussionId, { count: before + 1, sum: (sum + hashOf(passageId)) >>> 0 });
}

function compare(version: number, expected: Counts, actual: Counts): [number, string] {
  let [rows, checksum] = [0, 0];
  for (const discussionId of new Set([...expected.keys(), ...actual.keys()])) {
    const wanted = expected.get(discussionId) ?? { count: 0, sum: 0 };
    const found = actual.get(discussionId) ?? { count: 0, sum: 0 };
    if (wanted.count !== found.count || wanted.sum !== found.sum)
      throw new Refusal(
        'internal',
        `the vectors of version ${version} hold ${found.count} passages of discussion ${discussionId}, the log says ${wanted.count}`,
      );
    rows += wanted.count;
    checksum = (checksum + wanted.sum) >>> 0;
  }
  return [rows, checksum.toString(16).padStart(8, '0')];
}

/** Those whose ids have the smallest hashes: spread over all, and the same each time. */
function createSamples() {
  let kept: { row: LedgerRow; hash: number }[] = [];
  return {
    offer(row: LedgerRow): void {
      kept.push({ row, hash: hashOf(row.passageId) });
      if (kept.length < SAMPLES * 4) return;
      kept = kept.sort((a, b) => a.hash - b.hash).slice(0, SAMPLES);
    },
    kept: () =>
      kept
        .sort((a, b) => a.hash - b.hash)
        .slice(0, SAMPLES)
        .map(({ row }) => row),
  };
}

async function compareVectors(parts: IndexParts, rows: readonly LedgerRow[], signal: AbortSignal): Promise<void> {
  const { index, version, embedder } = parts;
  const { objects } = await embedPassages(embedder, await passagesFromLog(parts, rows), signal);
  const stored = await index.vectors(version, idsOf(rows));
  for (const { passage, vector } of objects)
    if (cosine(vector, stored.get(passage.passageId) ?? []) < SAME)
      throw new Refusal(
        'internal',
        `the vector of passage ${passage.passageId} in version ${version} is not that of its text`,
      );
}

function cosine(a: Vector, b: Vector): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (const [i, x] of a.entries()) {
    const y = b[i] ?? 0;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  return aa === 0 || bb === 0 ? 0 : dot / Math.sqrt(aa * bb);
}
