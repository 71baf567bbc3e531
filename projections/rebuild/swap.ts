/** Makes a version that was built the live one. */
import type { Knex } from 'knex';
import type { EventStore } from '../../domain/ports.ts';
import type { Table } from '../projection.ts';
import { createRebuildRows } from './rows.ts';
import { typesOf } from './source.ts';
import type { TablesOptions } from './tables.ts';
import type { Swapped } from './target.ts';
import { forget, lostClaim, type Claim } from './version.ts';
import { loadRows, moveCheckpoint, writeFolded } from './write.ts';
import { skippedOf } from '../skippedEvents.ts';
import { pointViews } from '../tables.ts';

/**
 * Below the server's deadlock_timeout: a reader of several views must never be the one who is sent away. Readers wait
 * behind us for so long at most.
 */
const LOCK_MS = 300;
const TRIES = 60;
const REST_MS = 100;
/** Events that may be applied while the live version's runners wait. */
const MAX_TAIL = 5_000;

interface VersionRow {
  readonly version: number;
  readonly status: string;
  readonly builder: string | null;
  readonly paused: boolean;
  readonly position: string;
  readonly event_id: string | null;
  readonly event_stream: string | null;
  readonly event_revision: number | null;
}

/**
 * In one transaction: holds the live checkpoint, so that no runner moves it; applies what is missing up to there; turns
 * the versions' status and points the views over. Both epochs go up, so runners load anew. Null when more is missing than
 * runners can be made to wait for.
 */
export async function swapVersions(options: TablesOptions): Promise<Swapped | null> {
  const { knex, claim } = options;
  for (let tries = 1; ; tries += 1)
    try {
      const other = await otherLog(options);
      const swapped = await knex.transaction((trx) => swapIn(trx, options, other));
      if (swapped?.previous !== undefined) await dropOlder(knex, claim, swapped.previous);
      return swapped;
    } catch (error) {
      if (tries === TRIES || !isLockTimeout(error)) throw error;
      await options.clock.sleep(REST_MS);
    }
}

function isLockTimeout(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === '55P03' || error.code === '40P01');
}

/** Version whose checkpoint names an event that the log does not hold: it was built from another log. */
async function otherLog({ knex, store, claim }: TablesOptions): Promise<number | null> {
  const rows = await lockless(knex, claim);
  const live = rows.find(({ status }) => status === 'live');
  return live === undefined || (await isOfLog(store, live)) ? null : live.version;
}

async function isOfLog(store: EventStore, row: VersionRow): Promise<boolean> {
  const { event_id: id, event_stream: stream, event_revision: from } = row;
  if (id === null || stream === null || from === null) return true;
  for await (const event of store.read(stream, { from, limit: 1 }))
    return event.id === id && event.position === BigInt(row.position);
  return false;
}

const columns =
  'version, status, builder, paused, position::text as position, event_id, event_stream, event_revision from projections where name = ? and schema_version = ? order by version';

async function lockless(knex: Knex, { projection }: Claim): Promise<VersionRow[]> {
  const found = await knex.raw<{ rows: VersionRow[] }>(`select ${columns}`, [
    projection.name,
    projection.schemaVersion,
  ]);
  return found.rows;
}

async function swapIn(trx: Knex, options: TablesOptions, otherLog: number | null): Promise<Swapped | null> {
  const { claim } = options;
  const { projection, version } = claim;
  const { name } = projection;
  await trx.raw(`set local lock_timeout = ${LOCK_MS}`);
  const { rows } = await trx.raw<{ rows: VersionRow[] }>(`select ${columns} for update`, [
    name,
    projection.schemaVersion,
  ]);
  const own = rows.find((each) => each.version === version);
  const live = rows.find(({ status }) => status === 'live');
  if (own === undefined || own.builder !== claim.builder) throw lostClaim(claim);
  const from = BigInt(own.position);
  const needed = live === undefined || live.version === otherLog ? from : BigInt(live.position);
  // What is stored elsewhere takes too long for runners to wait.
  if (needed > from && options.beside !== undefined) return null;
  if (needed > from && !(await applyTail(trx, options, { from, to: needed, live: live?.version }))) return null;
  const ended = { builder: null, operation_id: null, wanted: false, fast: false, error: null };
  if (live)
    await trx('projections')
      .where({ name, version: live.version })
      .update({ status: 'previous', epoch: trx.raw('epoch + 1'), ...ended });
  const position = needed > from ? needed : from;
  const same = live !== undefined && live.version !== otherLog && position === BigInt(live.position);
  const { event_id, event_stream, event_revision } = same ? live : own;
  await trx('projections')
    .where({ name, version })
    .update({
      ...{ status: 'live', epoch: trx.raw('epoch + 1'), paused: live?.paused ?? false, ...ended },
      ...{ event_id, event_stream, event_revision },
    });
  await pointViews(trx, projection, version);
  return { previous: live?.version ?? null, position };
}

/** Applies what the live version has beyond ours. False when it is too much. */
async function applyTail(
  trx: Knex,
  { claim, copy, source }: TablesOptions,
  { from, to, live }: { from: bigint; to: bigint; live: number | undefined },
): Promise<boolean> {
  const { projection, version } = claim;
  const letters = await trx('dead_letters')
    .where({ projection: projection.name, parks: true })
    .whereIn('version', [version, live ?? version])
    .select<{ stream: string; event_id: string; version: number }[]>('stream', 'event_id', 'version');
  const exceptions = {
    parked: new Set(letters.filter((each) => each.version === version).map(({ stream }) => stream)),
    skipped: await skippedOf(trx, projection.name),
    tolerated: new Set(letters.map(({ event_id: id }) => id)),
    refused: new Map(letters.map(({ event_id: id }) => [id, 'as in the version before'])),
  };
  const load = (table: Table, keys: string[]) => loadRows(trx, table, version, keys);
  let [at, count] = [from, 0];
  for await (const page of source.read({ after: from, to, types: typesOf(projection) }, trx)) {
    count += page.events.length;
    if (count > MAX_TAIL) return false;
    const rows = createRebuildRows({ projection, exceptions, empty: false, load, tally: null });
    await moveCheckpoint(trx, claim, at, page);
    await writeFolded(trx, claim, await rows.fold(page.events), { copy, careful: true });
    at = page.through;
  }
  return true;
}

/** Keeps one version to go back to. */
async function dropOlder(knex: Knex, { projection }: Claim, kept: number | null): Promise<void> {
  const { name, schemaVersion } = projection;
  const older = await knex('projections')
    .where({ name, schema_version: schemaVersion, status: 'previous' })
    .whereNot('version', kept ?? -1)
    .select<{ version: number }[]>('version');
  for (const { version } of older) await knex.transaction((trx) => forget(trx, projection, version));
}
