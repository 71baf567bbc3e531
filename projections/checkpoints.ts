import type { Knex } from 'knex';
import type { EventStore } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Projection } from './projection.ts';
import { skippedEvents } from './skippedEvents.ts';
import { createIndexes, createTables, dropTables, pointViews, tablesExist } from './tables.ts';

/** Any number nobody else uses in this database: held while tables are made. */
const DDL_LOCK = '7303014103';
const QUERY_MS = 20_000;

/** How far one version of a read model has come. */
export interface Checkpoint {
  readonly version: number;
  /** Goes up when anything but the position changes. */
  readonly epoch: number;
  /** Position of the last event applied, 0n for none. */
  readonly position: bigint;
  readonly event: { readonly id: string; readonly stream: string; readonly revision: number } | null;
}

/** A read model that a runner keeps up to date. */
export interface Member {
  readonly projection: Projection;
  checkpoint: Checkpoint;
  /** Position up to which rows were folded in memory: ahead of the checkpoint while a write is under way. */
  folded: bigint;
  /** Streams with a dead letter: their events wait. */
  parked: Set<string>;
  /** Ids of events that are passed over, because an operator said so. */
  skipped: ReadonlySet<string>;
  /** An operator wants it left alone. */
  paused: boolean;
}

/** Makes what is missing: the tables and the checkpoint of each projection's live version. Any number may do so at once. */
export async function ensureVersions(knex: Knex, projections: readonly Projection[]): Promise<void> {
  await knex.transaction(async (trx) => {
    await trx.raw(`select pg_advisory_xact_lock(${DDL_LOCK})`);
    for (const projection of projections) await ensureVersion(trx, projection);
  });
}

async function ensureVersion(trx: Knex, projection: Projection): Promise<void> {
  const { name, schemaVersion } = projection;
  const [row] = await trx('projections')
    .select<{ latest: number | null; live: number | null }[]>(
      trx.raw('max(version) as latest'),
      trx.raw(`max(version) filter (where status = 'live' and schema_version = ?) as live`, [schemaVersion]),
    )
    .where({ name });
  const live = row?.live ?? null;
  if (live === null) {
    const version = (row?.latest ?? 0) + 1;
    await makeTables(trx, projection, version);
    await trx('projections').insert({ name, version, schema_version: schemaVersion, status: 'live' });
  } else if (!(await tablesExist(trx, projection, live))) {
    // Someone dropped a table: what is left of the version is of no use without it.
    await makeTables(trx, projection, live);
    await trx('dead_letters').where({ projection: name, version: live }).delete();
    await trx('projections')
      .where({ name, version: live })
      .update({ position: 0, event_id: null, event_stream: null, event_revision: null, epoch: trx.raw('epoch + 1') });
  }
}

async function makeTables(trx: Knex, projection: Projection, version: number): Promise<void> {
  await dropTables(trx, projection, version);
  await createTables(trx, projection, version);
  await createIndexes(trx, projection, version);
  await pointViews(trx, projection, version);
}

interface CheckpointRow {
  readonly name: string;
  readonly version: number;
  readonly schema_version: number;
  readonly epoch: number;
  readonly paused: boolean;
  readonly position: string;
  readonly event_id: string | null;
  readonly event_stream: string | null;
  readonly event_revision: number | null;
}

/** The live version of each projection, as the database has it now, in the order given. */
export async function loadMembers(knex: Knex, projections: readonly Projection[]): Promise<Member[]> {
  const names = projections.map((each) => each.name);
  const checkpoints = await knex
    .raw<{ rows: CheckpointRow[] }>(
      `select name, version, schema_version, epoch, paused, position::text as position, event_id, event_stream,
         event_revision
       from projections where status = 'live' and name = any(?::text[])`,
      [names],
    )
    .timeout(QUERY_MS);
  const letters = await knex
    .raw<{ rows: { projection: string; version: number; stream: string }[] }>(
      'select projection, version, stream from dead_letters where parks and projection = any(?::text[])',
      [names],
    )
    .timeout(QUERY_MS);
  const skipped = await skippedEvents(knex, names);
  return projections.map((projection) => {
    const { name, schemaVersion } = projection;
    const row = checkpoints.rows.find((each) => each.name === name && each.schema_version === schemaVersion);
    if (row === undefined) throw new Refusal('unavailable', `the read model ${name} has no live version`);
    const { version, epoch, paused } = row;
    const position = BigInt(row.position);
    const parked = letters.rows.filter((each) => each.projection === name && each.version === version);
    return {
      projection,
      checkpoint: { version, epoch, position, event: eventOf(row) },
      folded: position,
      parked: new Set(parked.map((each) => each.stream)),
      skipped: skipped.get(name) ?? new Set(),
      paused,
    };
  });
}

function eventOf(row: CheckpointRow): Checkpoint['event'] {
  const { event_id: id, event_stream: stream, event_revision: revision } = row;
  return id === null || stream === null || revision === null ? null : { id, stream, revision };
}

/**
 * Sees to it that the log still holds the event that each read model applied last. A log restored to an older state
 * would otherwise grow again under rows that show what it has lost.
 * @throws Refusal('internal') when it does not.
 */
export async function checkLineage(store: EventStore, members: readonly Member[]): Promise<void> {
  const checked = new Set<string>();
  for (const { projection, checkpoint } of members) {
    const { event } = checkpoint;
    if (event === null || checked.has(event.id)) continue;
    checked.add(event.id);
    let found = false;
    for await (const recorded of store.read(event.stream, { from: event.revision, limit: 1 }))
      found = recorded.id === event.id && recorded.position === checkpoint.position;
    if (!found)
      throw new Refusal(
        'internal',
        `the read model ${projection.name} was built from another log than this one: the event at its checkpoint ${checkpoint.position} is missing. Restore the log that belongs to it, or drop the read models with \`colloquy projections reset\`: the next start builds them from this log.`,
      );
  }
}
