/** The target of rebuilds whose rows are in tables of PostgreSQL. */
import type { Knex } from 'knex';
import type { Clock, EventStore } from '../../domain/ports.ts';
import type { Table } from '../projection.ts';
import { isSplittable } from './fold.ts';
import { createRebuildRows, type Changes, type Exceptions, type RebuildRows } from './rows.ts';
import type { EventSource, Page } from './source.ts';
import { swapVersions } from './swap.ts';
import type { BuildTarget, Place } from './target.ts';
import { createTally, type Tally } from './tally.ts';
import { verifyTables } from './verify.ts';
import { lostClaim, ofClaim, startAnew, type Claim } from './version.ts';
import { loadRows, moveCheckpoint, writeFolded, type CopyRows } from './write.ts';
import { skippedOf } from '../skippedEvents.ts';
import { createIndexes, tableName } from '../tables.ts';

const QUERY_MS = 30_000;

export interface TablesOptions {
  readonly knex: Knex;
  readonly store: EventStore;
  readonly clock: Clock;
  readonly source: EventSource;
  readonly claim: Claim;
  /** Null on the embedded database. */
  readonly copy: CopyRows | null;
  /** About how many events there will be, where what is written may be tallied instead of folding the log a second time. */
  readonly tallied?: number | undefined;
  /** What is stored elsewhere before the rows are written; may come twice. @returns the changes with what could not be stored. */
  readonly beside?: (changes: Changes) => Promise<Changes>;
}

/** Tables of the claimed version. */
export function tablesTarget(options: TablesOptions): BuildTarget {
  const { knex, claim } = options;
  const { projection, version } = claim;
  let exceptions: Exceptions | null = null;
  let rows: RebuildRows | null = null;
  let tally: Tally | null = null;
  let at = 0n;
  let underWay: Promise<void> = Promise.resolve();

  const open = async (): Promise<Place> => {
    await underWay.catch(() => undefined);
    underWay = Promise.resolve();
    const place = await placeOf(options);
    at = place.position;
    exceptions = await exceptionsOf(knex, claim, exceptions);
    const load = (table: Table, keys: string[]) => loadRows(knex, table, version, keys);
    tally = tallyOf(options, at, exceptions);
    rows = createRebuildRows({ projection, exceptions, empty: at === 0n, load, tally });
    return place;
  };

  const apply = async (page: Page, careful: boolean): Promise<void> => {
    if (rows === null) throw new Error('a target is opened before it is written to');
    const changes = await rows.fold(page.events);
    await underWay;
    const { copy, beside } = options;
    const after = at;
    at = page.through;
    const write = (stored: Changes) =>
      knex.transaction(async (trx) => {
        await trx.raw('set local synchronous_commit = off');
        await moveCheckpoint(trx, claim, after, page);
        await writeFolded(trx, claim, stored, { copy, careful });
      });
    // Told to whoever waits for it next.
    underWay = (beside === undefined ? write(changes) : beside(changes).then(write)).then(() => rows?.written());
    underWay.catch(() => undefined);
  };

  return {
    name: projection.name,
    open,
    apply,
    flush: () => underWay,
    complete: () => complete(knex, claim),
    verify: (onPage, events) => verifyTables({ ...options, tally, onPage }, at, events),
    swap: () => swapVersions(options),
    refuse: (eventId, error) => void exceptions?.refused.set(eventId, error),
    async mayFail(event) {
      const found = await liveLetters(knex, claim);
      if (found.position < event.position) return null;
      if (!found.events.has(event.id)) return false;
      exceptions?.tolerated.add(event.id);
      return true;
    },
  };
}

/** Null where something stands in the tables that it would not know of. */
function tallyOf({ claim, tallied }: TablesOptions, at: bigint, { skipped }: Exceptions): Tally | null {
  const { projection, version } = claim;
  if (tallied === undefined || at > 0n || !isSplittable(projection)) return null;
  return createTally(projection, { version, events: tallied, skipped });
}

async function complete(knex: Knex, { projection, version }: Claim): Promise<void> {
  await knex.transaction(async (trx) => {
    await trx.raw('set local statement_timeout = 0');
    await createIndexes(trx, projection, version);
  });
  for (const table of projection.tables) await knex.raw(`analyze ${tableName(table, version)}`);
}

/** Where the version stands; begun anew when the log does not hold what it was built from. */
async function placeOf({ knex, store, claim }: TablesOptions): Promise<Place> {
  const row = (await ofClaim(knex, claim)
    .first(knex.raw('position::text as position, event_id, event_stream, event_revision'))
    .timeout(QUERY_MS)) as CheckpointRow | undefined;
  if (row === undefined) throw lostClaim(claim);
  const position = BigInt(row.position);
  if (await holds(store, row, position)) return { version: claim.version, position };
  if (claim.kind === 'rollback') throw new Error('the previous version was built from another log');
  await knex.transaction((trx) => startAnew(trx, claim.projection, claim.version));
  return { version: claim.version, position: 0n };
}

interface CheckpointRow {
  readonly position: string;
  readonly event_id: string | null;
  readonly event_stream: string | null;
  readonly event_revision: number | null;
}

async function holds(
  store: EventStore,
  { event_id: id, event_stream: stream, event_revision: from }: CheckpointRow,
  position: bigint,
): Promise<boolean> {
  if (position > (await store.head())) return false;
  if (id === null || stream === null || from === null) return true;
  for await (const event of store.read(stream, { from, limit: 1 })) return event.id === id;
  return false;
}

async function exceptionsOf(knex: Knex, claim: Claim, before: Exceptions | null): Promise<Exceptions> {
  const { projection, version } = claim;
  const own = await knex('dead_letters')
    .where({ projection: projection.name, version, parks: true })
    .select<{ stream: string }[]>('stream')
    .timeout(QUERY_MS);
  return {
    parked: new Set(own.map(({ stream }) => stream)),
    skipped: await skippedOf(knex, projection.name),
    tolerated: new Set([...(before?.tolerated ?? []), ...(await liveLetters(knex, claim)).events]),
    refused: before?.refused ?? new Map<string, string>(),
  };
}

/** The live version's position and the events of its dead letters. */
async function liveLetters(knex: Knex, { projection }: Claim): Promise<{ position: bigint; events: Set<string> }> {
  const { name, schemaVersion } = projection;
  const { rows } = await knex
    .raw<{ rows: { position: string; event_id: string | null }[] }>(
      `select p.position::text as position, d.event_id from projections p
       left join dead_letters d on d.projection = p.name and d.version = p.version
       where p.name = ? and p.schema_version = ? and p.status = 'live'`,
      [name, schemaVersion],
    )
    .timeout(QUERY_MS);
  const events = rows.map(({ event_id: id }) => id).filter((id) => id !== null);
  return { position: BigInt(rows[0]?.position ?? 0), events: new Set(events) };
}
