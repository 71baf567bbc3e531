/** Sees to it that an index finds what the ledger says it holds; a store that was killed may have lost some of it. */
import type { Embedder, Vector } from '../../domain/meaning/embedder.ts';
import type { VectorIndex, VectorObject } from '../../domain/meaning/vectorIndex.ts';
import type { EventStore } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { Knex } from 'knex';
import type { LedgerRow } from '../embeddings.ts';
import { embedPassages } from './embedPassages.ts';
import { ledgerPages, passagesFromLog, type LedgerRange } from './ledger.ts';
import { auditFrom } from './indexes.ts';

export interface IndexParts {
  readonly knex: Knex;
  readonly store: EventStore;
  readonly version: number;
  readonly index: VectorIndex;
  readonly embedder: Embedder;
}

export interface AuditOptions extends LedgerRange {
  readonly repair: boolean;
  readonly signal: AbortSignal;
  /** Told after each page how many passages were looked at and what was amiss with them. */
  readonly onPage?: (page: AuditedPage) => Promise<void>;
}

export interface AuditedPage {
  readonly rows: readonly LedgerRow[];
  /** Ids of those that the store does not hold. */
  readonly missing: readonly string[];
  /** Ids of those that it holds and does not find. */
  readonly lost: readonly string[];
}

/** Tries of an object that is stored and not found; two were always enough. */
const ROUNDS = 8;
/**
 * By how much the vector of an object is changed that was removed and stored again in vain. Weaviate 1.35, killed inside
 * a batch: what one try did not mend, three more did not either (3 to 51 of 1,000, in 6 kills of 8); so changed it was
 * found at once in all of them.
 */
const NUDGE = 0.001;

/** Looks at every object of a part of the log. @returns how many were amiss. @throws Refusal `unavailable`. */
export async function auditIndex(parts: IndexParts, options: AuditOptions): Promise<number> {
  const { index, version } = parts;
  const { repair, signal, onPage } = options;
  let amiss = 0;
  for await (const rows of ledgerPages(parts.knex, options)) {
    signal.throwIfAborted();
    const vectors = await index.vectors(
      version,
      rows.map(({ passageId }) => passageId),
    );
    const missing = rows.filter(({ passageId }) => !vectors.has(passageId));
    const held = [...vectors].map(([passageId, vector]) => ({ passageId, vector }));
    const lost = await index.unfindable(version, held);
    amiss += missing.length + lost.length;
    if (repair && missing.length + lost.length > 0) {
      const wanted = new Set([...missing.map(({ passageId }) => passageId), ...lost]);
      await mend(
        parts,
        rows.filter(({ passageId }) => wanted.has(passageId)),
        vectors,
        signal,
      );
    }
    await onPage?.({ rows, missing: missing.map(({ passageId }) => passageId), lost });
  }
  return amiss;
}

async function mend(
  parts: IndexParts,
  rows: readonly LedgerRow[],
  vectors: ReadonlyMap<string, Vector>,
  signal: AbortSignal,
): Promise<void> {
  const passages = await passagesFromLog(parts, rows);
  if (rows[0] !== undefined) await auditFrom(parts.knex, parts.version, BigInt(rows[0].position));
  const known = passages.filter(({ passageId }) => vectors.has(passageId));
  const { objects } = await embedPassages(
    parts.embedder,
    passages.filter(({ passageId }) => !vectors.has(passageId)),
    signal,
  );
  const again = known.map((passage) => nudged({ passage, vector: vectors.get(passage.passageId) ?? [] }));
  await putUntilFound(parts, [...again, ...objects], signal);
}

/**
 * Puts objects whose earlier put may have been lost: removed first, since a store may take what it knows for done.
 * @throws Refusal `unavailable` when some are never found.
 */
export async function putUntilFound(
  { index, version }: Pick<IndexParts, 'index' | 'version'>,
  given: readonly VectorObject[],
  signal: AbortSignal,
): Promise<void> {
  let objects = given;
  for (let round = 1; objects.length > 0; round += 1) {
    signal.throwIfAborted();
    if (round > ROUNDS)
      throw new Refusal(
        'unavailable',
        `${objects.length} passages are stored and not found by their own vectors: \`colloquy projections rebuild embeddings\``,
      );
    await index.remove(
      version,
      objects.map(({ passage }) => passage.passageId),
    );
    await index.put(version, objects);
    const lost = new Set(
      await index.unfindable(
        version,
        objects.map(({ passage: { passageId }, vector }) => ({ passageId, vector })),
      ),
    );
    objects = objects.filter(({ passage }) => lost.has(passage.passageId)).map(nudged);
  }
}

function nudged({ passage, vector }: VectorObject): VectorObject {
  return { passage, vector: vector.map((each, i) => (i === 0 ? each + NUDGE : each)) };
}
