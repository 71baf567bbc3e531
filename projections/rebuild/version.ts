/** A version of a read model that is built beside the live one: who builds it, how far it is, how it becomes the live one. */
import type { Knex } from 'knex';
import { Refusal } from '../../domain/refusal.ts';
import type { Projection } from '../projection.ts';
import { createTables, dropTables, tablesExist } from '../tables.ts';

/** Held while tables are made, as by `ensureVersions`. */
const DDL_LOCK = '7303014103';
const QUERY_MS = 20_000;
/** A builder that is silent for so long has lost its process. */
export const SILENT_SECONDS = 10;

/** A claim to build one version. */
export interface Claim {
  readonly projection: Projection;
  readonly version: number;
  /** Names the builder: every write compares it. */
  readonly builder: string;
  /** A rebuild ends as the live version, so does going back to the previous one. */
  readonly kind: 'rebuild' | 'rollback';
}

export interface ClaimOptions {
  readonly builder: string;
  readonly fast: boolean;
}

interface VersionRow {
  readonly version: number;
  readonly status: 'live' | 'building' | 'previous' | 'failed';
  readonly busy: boolean;
}

/** SQL: nobody works on the version. */
export const silent = `builder is null or builder_at < clock_timestamp() - interval '${SILENT_SECONDS} seconds'`;

async function versionsFor(knex: Knex, { name, schemaVersion }: Projection): Promise<VersionRow[]> {
  const { rows } = await knex
    .raw<{ rows: VersionRow[] }>(
      `select version, status, not (${silent}) as busy from projections where name = ? and schema_version = ?
       order by version`,
      [name, schemaVersion],
    )
    .timeout(QUERY_MS);
  return rows;
}

function busyRefusal({ name }: Projection): Refusal {
  return new Refusal('conflict', `${name} is being rebuilt already: wait for that operation, or cancel it`);
}

/**
 * Takes the version that was begun and left, or makes the next one. What failed before is dropped.
 * @throws Refusal `conflict` when somebody else builds it.
 */
export async function claimBuild(knex: Knex, projection: Projection, options: ClaimOptions): Promise<Claim> {
  const { name, schemaVersion } = projection;
  const { builder, fast } = options;
  const version = await knex.transaction(async (trx) => {
    await trx.raw(`select pg_advisory_xact_lock(${DDL_LOCK})`);
    const rows = await versionsFor(trx, projection);
    if (rows.some(({ busy }) => busy)) throw busyRefusal(projection);
    for (const { version } of rows.filter(({ status }) => status === 'failed')) await forget(trx, projection, version);
    const building = rows.find(({ status }) => status === 'building')?.version;
    const given = { builder, fast, wanted: true, operation_id: null, error: null };
    if (building !== undefined) {
      await trx('projections')
        .where({ name, version: building })
        .update({ ...given, builder_at: trx.raw('clock_timestamp()') });
      if (!(await tablesExist(trx, projection, building))) await startAnew(trx, projection, building);
      return building;
    }
    const latest = await trx('projections').where({ name }).max<{ max: number | null }[]>('version');
    const next = (latest[0]?.max ?? 0) + 1;
    await trx('projections').insert({
      ...{ name, version: next, schema_version: schemaVersion, status: 'building' },
      ...given,
      builder_at: trx.raw('clock_timestamp()'),
    });
    await startAnew(trx, projection, next);
    return next;
  });
  return { projection, version, builder, kind: 'rebuild' };
}

/**
 * Takes the version that was live before.
 * @throws Refusal `conflict` when there is none (any more), or somebody builds.
 */
export async function claimPrevious(knex: Knex, projection: Projection, options: ClaimOptions): Promise<Claim> {
  const { builder } = options;
  const version = await knex.transaction(async (trx) => {
    await trx.raw(`select pg_advisory_xact_lock(${DDL_LOCK})`);
    const rows = await versionsFor(trx, projection);
    if (rows.some(({ busy }) => busy)) throw busyRefusal(projection);
    const previous = rows.findLast(({ status }) => status === 'previous')?.version;
    if (previous === undefined || !(await tablesExist(trx, projection, previous)))
      throw new Refusal('conflict', `${projection.name} has no previous version to go back to`);
    await trx('projections')
      .where({ name: projection.name, version: previous })
      .update({ builder, operation_id: null, builder_at: trx.raw('clock_timestamp()') });
    return previous;
  });
  return { projection, version, builder, kind: 'rollback' };
}

/** Empties the version's tables, and begins with the log's first event. */
export async function startAnew(trx: Knex, projection: Projection, version: number): Promise<void> {
  await dropTables(trx, projection, version);
  await createTables(trx, projection, version);
  await trx('dead_letters').where({ projection: projection.name, version }).delete();
  await trx('projections')
    .where({ name: projection.name, version })
    .update({ position: 0, event_id: null, event_stream: null, event_revision: null });
}

/** Says that the builder is still there. @throws Refusal `conflict` when somebody else has taken over. */
export async function renewClaim(knex: Knex, claim: Claim): Promise<void> {
  const changed = await ofClaim(knex, claim)
    .update({ builder_at: knex.raw('clock_timestamp()') })
    .timeout(QUERY_MS);
  if (changed !== 1) throw lostClaim(claim);
}

/** Leaves the version as it is. @param wanted whether it is to go on by itself. */
export async function releaseClaim(knex: Knex, claim: Claim, wanted: boolean): Promise<void> {
  await ofClaim(knex, claim).update({ builder: null, wanted, operation_id: null }).timeout(QUERY_MS);
}

/** Notes the operation in which the work is done. */
export async function noteOperation(knex: Knex, claim: Claim, operationId: string): Promise<void> {
  await ofClaim(knex, claim).update({ operation_id: operationId }).timeout(QUERY_MS);
}

/** Marks a rebuild as failed; its tables stay for whoever wants to look. */
export async function failClaim(knex: Knex, claim: Claim, error: string): Promise<void> {
  const kept = error.replaceAll('\u0000', '\\0').toWellFormed().slice(0, 2_000).toWellFormed();
  const failed = claim.kind === 'rebuild' ? { status: 'failed', wanted: false, error: kept } : {};
  await ofClaim(knex, claim)
    .update({ ...failed, builder: null, operation_id: null })
    .timeout(QUERY_MS);
}

/** The claim's row, while it is the claim's. */
export function ofClaim(knex: Knex, { projection, version, builder }: Claim): Knex.QueryBuilder {
  return knex('projections').where({ name: projection.name, version, builder });
}

/** Somebody else goes on with it. */
export function lostClaim({ projection }: Claim): Refusal {
  return new Refusal('conflict', `another process has taken over the rebuild of ${projection.name}`);
}

/** Drops a version that is not live: its tables, dead letters and row. */
export async function forget(trx: Knex, projection: Projection, version: number): Promise<void> {
  await dropTables(trx, projection, version);
  // An older program's version may have had other tables.
  const { rows } = await trx.raw<{ rows: { tablename: string }[] }>(
    'select tablename from pg_tables where schemaname = current_schema() and tablename ~ ?',
    [`^${projection.name}(_[a-z_]+)?_v${version}$`],
  );
  for (const { tablename } of rows) await trx.raw('drop table ?? cascade', [tablename]);
  await trx('dead_letters').where({ projection: projection.name, version }).delete();
  await trx('projections').where({ name: projection.name, version }).whereNot('status', 'live').delete();
}

/**
 * Drops one version of a read model for good.
 * @throws Refusal `not-found`, `conflict` for the one that this program reads and for one that somebody works on.
 */
export async function forgetVersion(knex: Knex, projection: Projection, version: number): Promise<void> {
  const { name, schemaVersion } = projection;
  await knex.transaction(async (trx) => {
    await trx.raw(`select pg_advisory_xact_lock(${DDL_LOCK})`);
    const row = await trx('projections')
      .where({ name, version })
      .forUpdate()
      .first<{ status: string; schema_version: number; busy: boolean } | undefined>(
        'status',
        'schema_version',
        trx.raw(`not (${silent}) as busy`),
      );
    if (row === undefined) throw new Refusal('not-found', `${name} has no version ${version}`);
    if (row.status === 'live' && row.schema_version === schemaVersion)
      throw new Refusal(
        'conflict',
        `version ${version} of ${name} is the one that is read: rebuild or roll back first`,
      );
    if (row.busy) throw new Refusal('conflict', `version ${version} of ${name} is being built: cancel that first`);
    await forget(trx, projection, version);
    await trx('projections').where({ name, version }).delete();
  });
}
