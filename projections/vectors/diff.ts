/** Compares an index with the ledger: what it lacks, what it holds and does not find, what it should not hold; and mends it. */
import type { DifferingRow, TableDiff } from '../diff.ts';
import { embeddings, ledger } from '../embeddings.ts';
import { loadRows } from '../rebuild/write.ts';
import { auditIndex, type IndexParts } from './audit.ts';
import { placeOf } from './indexes.ts';

export interface VectorsDiffOptions {
  readonly repair: boolean;
  readonly signal: AbortSignal;
  /** Told how many passages were looked at since it was called last. */
  readonly onPage: (passages: number) => Promise<void>;
  /** Waits for as long as a batch takes from the index to the ledger. */
  readonly wait: () => Promise<void>;
}

export interface VectorsDiff extends TableDiff {
  /** How many of those that differed are as they should be now. */
  readonly repaired: number;
}

const MAX_SAMPLES = 20;
/** Looks at what the index holds and the ledger does not: its batch may be under way. */
const LOOKS = 5;

/** Looks at every passage, and asks the index for each by its own vector. */
export async function diffVectors(parts: IndexParts, options: VectorsDiffOptions): Promise<VectorsDiff> {
  const { knex, version } = parts;
  const { repair, signal, onPage } = options;
  const samples: DifferingRow[] = [];
  const note = (kind: DifferingRow['kind'], keys: readonly string[], columns: readonly string[] = []) => {
    for (const key of keys.slice(0, MAX_SAMPLES - samples.length)) samples.push({ key, kind, columns });
  };
  let rows = 0;
  const amiss = await auditIndex(parts, {
    ...{ version, after: 0n, to: await placeOf(knex, version), repair, signal },
    async onPage({ rows: looked, missing, lost }) {
      rows += looked.length - missing.length;
      note('missing', missing);
      note('differs', lost, ['vector']);
      await onPage(looked.length);
    },
  });
  const extra = await extraObjects(parts, options);
  note('extra', extra);
  if (repair && extra.length > 0) await removeExtra(parts, extra);
  const differing = amiss + extra.length;
  return { table: 'vectors', rows: rows + extra.length, differing, samples, repaired: repair ? differing : 0 };
}

async function extraObjects(parts: IndexParts, { signal, wait }: VectorsDiffOptions): Promise<string[]> {
  const { index, version } = parts;
  let extra: string[] = [];
  for await (const page of index.list(version)) {
    signal.throwIfAborted();
    extra.push(
      ...(await notInLedger(
        parts,
        page.map(({ passageId }) => passageId),
      )),
    );
  }
  for (let look = 0; extra.length > 0 && look < LOOKS; look += 1) {
    await wait();
    signal.throwIfAborted();
    extra = await notInLedger(parts, extra);
  }
  return extra;
}

/** Should its batch be under way after all, its checkpoint is refused for the epoch, and the batch is put again. */
async function removeExtra({ knex, version, index }: IndexParts, extra: readonly string[]): Promise<void> {
  await knex.transaction(async (trx) => {
    await trx('projections').where({ name: embeddings.name, version }).increment('epoch', 1);
    await index.remove(version, await notInLedger({ knex: trx, version }, extra));
  });
}

async function notInLedger(
  { knex, version }: Pick<IndexParts, 'knex' | 'version'>,
  ids: readonly string[],
): Promise<string[]> {
  const known = new Set((await loadRows(knex, ledger, version, [...ids])).map((row) => row['passageId']));
  return ids.filter((id) => !known.has(id));
}
