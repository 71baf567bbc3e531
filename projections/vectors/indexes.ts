/** What every version of the index of vectors was made with, and how far it was looked at after its store had been away. */
import type { Knex } from 'knex';
import type { IndexSpec, VectorIndex } from '../../domain/meaning/vectorIndex.ts';
import { embeddings } from '../embeddings.ts';

const QUERY_MS = 10_000;

export interface IndexRow extends IndexSpec {
  readonly version: number;
  readonly store: VectorIndex['store'];
}

export interface Audited {
  /** Everything up to here was found by its own vector after the store had been started again. */
  readonly position: bigint;
  /** The start of the store that was looked at last; null for none. */
  readonly incarnation: string | null;
}

const COLUMNS = 'v.version, v.store, v.model, v.digest, v.dimensions, v.chunker';

/** The index that queries read; null when there is none yet. */
export async function liveIndex(knex: Knex): Promise<IndexRow | null> {
  const { rows } = await knex
    .raw<{ rows: IndexRow[] }>(
      `select ${COLUMNS} from vector_indexes v join projections p on p.version = v.version
       where p.name = ? and p.schema_version = ? and p.status = 'live'`,
      [embeddings.name, embeddings.schemaVersion],
    )
    .timeout(QUERY_MS);
  return rows[0] ?? null;
}

/** What a version was made with; null when it was not made yet. */
export async function indexOf(knex: Knex, version: number): Promise<IndexRow | null> {
  const { rows } = await knex
    .raw<{ rows: IndexRow[] }>(`select ${COLUMNS} from vector_indexes v where v.version = ?`, [version])
    .timeout(QUERY_MS);
  return rows[0] ?? null;
}

/** Notes what a version is made with, unless that was noted already. @returns what is noted. */
export async function noteIndex(knex: Knex, row: IndexRow): Promise<IndexRow> {
  const { version, store, model, digest, dimensions, chunker } = row;
  await knex('vector_indexes')
    .insert({ version, store, model, digest, dimensions, chunker })
    .onConflict('version')
    .ignore()
    .timeout(QUERY_MS);
  return (await indexOf(knex, version)) ?? row;
}

/** Forgets what a version was made with: it is to be made anew. */
export async function forgetIndex(knex: Knex, version: number): Promise<void> {
  await knex('vector_indexes').where({ version }).delete().timeout(QUERY_MS);
}

/** Versions that were made and belong to no version of the projection any more are forgotten. @returns those that are left. */
export async function keptIndexes(knex: Knex): Promise<number[]> {
  const { rows } = await knex
    .raw<{ rows: { version: number }[] }>('select version from projections where name = ?', [embeddings.name])
    .timeout(QUERY_MS);
  const kept = rows.map(({ version }) => version);
  await knex('vector_indexes').whereNotIn('version', kept).delete().timeout(QUERY_MS);
  return kept;
}

/** The checkpoint of a version. */
export async function placeOf(knex: Knex, version: number): Promise<bigint> {
  const row = await knex('projections')
    .where({ name: embeddings.name, version })
    .first<{ position: string } | undefined>(knex.raw('position::text as position'))
    .timeout(QUERY_MS);
  return BigInt(row?.position ?? 0);
}

/** How far a version was audited. */
export async function auditedOf(knex: Knex, version: number): Promise<Audited> {
  const row = await knex('vector_indexes')
    .where({ version })
    .first<{ audited: string; incarnation: string | null } | undefined>(
      knex.raw('audited::text as audited'),
      'incarnation',
    )
    .timeout(QUERY_MS);
  return { position: BigInt(row?.audited ?? 0), incarnation: row?.incarnation ?? null };
}

/** Notes an audit, and its place unless that was moved from `after` meanwhile. */
export async function noteAudited(
  knex: Knex,
  version: number,
  { after, position, incarnation }: Audited & { readonly after: bigint },
): Promise<void> {
  const audited = knex.raw('case when audited = ?::bigint then ?::bigint else audited end', [
    `${after}`,
    `${position}`,
  ]);
  await knex('vector_indexes').where({ version }).update({ audited, incarnation }).timeout(QUERY_MS);
}

/** What is put now at an old position is looked at after the store's next start: the place of the audit goes back to before it. */
export async function auditFrom(knex: Knex, version: number, position: bigint): Promise<void> {
  const audited = knex.raw('least(audited, ?::bigint)', [`${position - 1n}`]);
  await knex('vector_indexes').where({ version }).update({ audited }).timeout(QUERY_MS);
}
