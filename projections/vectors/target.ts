/** The target of rebuilds whose rows are in tables and whose vectors are in an index. */
import { Refusal } from '../../domain/refusal.ts';
import { ledger, passagesAmong } from '../embeddings.ts';
import { lettersOf } from './embedRun.ts';
import { Poison, type Changes } from '../rebuild/rows.ts';
import { tablesTarget, type TablesOptions } from '../rebuild/tables.ts';
import type { BuildTarget } from '../rebuild/target.ts';
import { startAnew } from '../rebuild/version.ts';
import { isOutdated, openVersion, type MeaningParts, type OpenVersion } from './versions.ts';
import { placeOf } from './indexes.ts';
import { verifyIndex } from './verify.ts';
import { createVectorWriter, type VectorWriter } from './writer.ts';

export interface VectorsOptions extends TablesOptions, MeaningParts {
  readonly signal: AbortSignal;
  /** Told how many passages were embedded, each time. */
  readonly onEmbedded: (passages: number) => void;
}

/** Tables and collection of the claimed version. */
export function vectorsTarget(options: VectorsOptions): BuildTarget {
  const { knex, claim, signal } = options;
  let opened: { version: OpenVersion; writer: VectorWriter } | null = null;
  const use = () => {
    if (opened === null) throw new Error('a target is opened before it is written to');
    return opened;
  };
  const beside = async (changes: Changes): Promise<Changes> => {
    const made = changes.tables.find(({ table }) => table === ledger);
    const passages = passagesAmong([...(made?.inserts ?? []), ...(made?.updates ?? [])]);
    if (passages.length === 0) return changes;
    const failed = await use().writer.add(passages);
    options.onEmbedded(passages.length);
    const letters = await lettersOf(options.store, failed);
    return { ...changes, unplaced: letters.map(({ event, error }) => new Poison(event, error)) };
  };
  const tables = tablesTarget({ ...options, beside });
  const anew = async () => {
    await knex.transaction((trx) => startAnew(trx, claim.projection, claim.version));
    return tables.open();
  };
  return {
    ...tables,
    async open() {
      let place = await tables.open();
      if (claim.kind === 'rebuild' && (await isOutdated(options, claim.version, signal))) place = await anew();
      let version = await openVersion(options, claim.version, { place: place.position, signal });
      if (version.gone && claim.kind === 'rollback')
        throw new Refusal('conflict', 'the vectors of the previous version are gone from their store: rebuild instead');
      if (version.gone) {
        place = await anew();
        version = await openVersion(options, claim.version, { place: place.position, signal });
      }
      opened = { version, writer: createVectorWriter({ ...version, signal, onAudited: () => undefined }) };
      return place;
    },
    async complete() {
      await tables.complete();
      await use().version.index.complete(claim.version);
    },
    async verify(onPage, events) {
      const verified = await tables.verify(onPage, events);
      await use().writer.doubt();
      const to = await placeOf(knex, claim.version);
      return [...verified, await verifyIndex(use().version, { to, signal, onPage: () => onPage(0) })];
    },
  };
}
