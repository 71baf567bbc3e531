/** Opens versions of the index of vectors with what they were made with, and makes those that are not there. */
import type { Knex } from 'knex';
import { CHUNKER } from '../../domain/meaning/chunker.ts';
import type { Embedder, EmbeddingModel } from '../../domain/meaning/embedder.ts';
import type { IndexSpec, VectorIndex } from '../../domain/meaning/vectorIndex.ts';
import type { EventStore } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import { embeddings } from '../embeddings.ts';
import { tableName } from '../tables.ts';
import type { IndexParts } from './audit.ts';
import { forgetIndex, indexOf, keptIndexes, noteIndex, type IndexRow } from './indexes.ts';

/** Where models and stores come from, by name; each may refuse with what is to be set. */
export interface MeaningParts {
  readonly embedder: (name: string) => Embedder;
  readonly index: (store: VectorIndex['store']) => VectorIndex;
  /** What the settings say: for versions that are made from now on. */
  readonly wanted: { readonly model: string; readonly store: VectorIndex['store'] };
}

export interface VersionOptions extends MeaningParts {
  readonly knex: Knex;
  readonly store: EventStore;
}

export interface OpenVersion extends IndexParts {
  readonly row: IndexRow;
  /** Its collection was there and is not any more. It is not made: who finds it begins anew, and others find it gone, too. */
  readonly gone: boolean;
}

/**
 * Opens a version, and makes what it lacks.
 * @param place its checkpoint: at 0 whatever its collection holds was left behind by another version of that number, and
 * it is made as the settings say now.
 * @throws Refusal `unavailable` when model or store cannot be asked now, or the model is not what the version was made with.
 */
export async function openVersion(
  options: VersionOptions,
  version: number,
  { place, signal }: { readonly place: bigint; readonly signal: AbortSignal },
): Promise<OpenVersion> {
  const { knex, store, wanted } = options;
  if (place === 0n) await forgetIndex(knex, version);
  const noted = await indexOf(knex, version);
  const embedder = options.embedder(noted?.model ?? wanted.model);
  const described = await embedder.describe({ signal });
  const row =
    noted ??
    (await noteIndex(knex, {
      ...{ version, store: wanted.store, chunker: CHUNKER },
      ...{ model: described.name, digest: described.digest, dimensions: described.dimensions },
    }));
  checkModel(row, described);
  const index = options.index(row.store);
  if (place === 0n) await index.drop(version);
  // Without a note nothing was embedded yet: the log begins with events that say nothing.
  const gone = noted !== null && (await index.describe(version)) === null;
  if (!gone) await index.create(version, specOf(row));
  return { knex, store, version, index, embedder, row, gone };
}

/** Whether the vectors of an index were made by this very model. */
function isItsModel(row: IndexRow, { digest, dimensions }: EmbeddingModel): boolean {
  return row.digest === digest && row.dimensions === dimensions;
}

/** An index holds vectors of one model only. @throws Refusal `unavailable` for another one. */
export function checkModel(row: IndexRow, described: EmbeddingModel): void {
  if (isItsModel(row, described)) return;
  throw new Refusal(
    'unavailable',
    `the vectors of version ${row.version} were made by another ${row.model} than the one that answers now: \`colloquy projections rebuild embeddings\``,
    { retryable: false },
  );
}

function specOf({ model, digest, dimensions, chunker }: IndexRow): IndexSpec {
  return { model, digest, dimensions, chunker };
}

/** Whether a version that was begun would be made otherwise now: its builder begins it anew. */
export async function isOutdated(options: VersionOptions, version: number, signal: AbortSignal): Promise<boolean> {
  const row = await indexOf(options.knex, version);
  if (row === null || differsFrom(row, options) !== null) return row !== null;
  return !isItsModel(row, await options.embedder(row.model).describe({ signal }));
}

/** Why the live index should be rebuilt, as far as the settings know; null when it need not. */
export function differsFrom(row: IndexRow, { wanted }: Pick<MeaningParts, 'wanted'>): string | null {
  if (row.model !== wanted.model) return `its vectors were made by ${row.model}, EMBEDDER says ${wanted.model}`;
  if (row.chunker !== CHUNKER) return `its texts were cut by chunker ${row.chunker}, this program has ${CHUNKER}`;
  if (row.store !== wanted.store) return `it stands in ${row.store}, the settings say ${wanted.store}`;
  return null;
}

/** Begins a version anew whose collection is gone: its runners start at the beginning of the log. */
export async function beginAnew(knex: Knex, version: number): Promise<void> {
  await knex.transaction(async (trx) => {
    const { name } = embeddings;
    await trx.raw('select from projections where name = ? and version = ? for update', [name, version]);
    for (const table of embeddings.tables) await trx.raw(`truncate ${tableName(table, version)}`);
    await trx('dead_letters').where({ projection: name, version }).delete();
    await forgetIndex(trx, version);
    await trx('projections')
      .where({ name, version })
      .update({ position: 0, event_id: null, event_stream: null, event_revision: null, epoch: trx.raw('epoch + 1') });
  });
}

/** Drops collections that belong to no version any more. */
export async function dropLeftOver(knex: Knex, index: VectorIndex): Promise<void> {
  const made = await index.versions();
  const kept = new Set(await keptIndexes(knex));
  for (const version of made.filter((each) => !kept.has(each))) await index.drop(version);
}
