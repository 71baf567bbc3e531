/** Rebuilds of test logs in this process. */
import { randomUUID } from 'node:crypto';
import type { RecordedEvent } from '../../domain/envelope.ts';
import type { Clock, EventStore } from '../../domain/ports.ts';
import type { Database } from '../../infra/database.ts';
import { copyRows } from '../../infra/postgresCopy.ts';
import { createPostgresLogSource } from '../../infra/postgresLogSource.ts';
import { ensureVersions } from '../../projections/checkpoints.ts';
import type { Projection } from '../../projections/projection.ts';
import { readModels } from '../../projections/readModels.ts';
import { rebuild, rollBack, type Rebuilt, type RebuildProgress } from '../../projections/rebuild/rebuild.ts';
import { storeSource, typesOf, type EventSource } from '../../projections/rebuild/source.ts';
import { tablesTarget } from '../../projections/rebuild/tables.ts';
import type { BuildTarget } from '../../projections/rebuild/target.ts';
import { claimBuild, claimPrevious, failClaim, releaseClaim, type Claim } from '../../projections/rebuild/version.ts';
import { plainCodec } from '../contracts/sampleEvents.ts';
import { realLog, type TestLog } from '../infra/postgresStores.ts';
import { wallClock } from '../standins/wallClock.ts';
import { appendAll, history } from './events.ts';

/** A log, and the database in which its read models are. */
export interface RebuiltLog {
  readonly store: EventStore;
  readonly database: Database;
  /** The log is in another server than the read models: it is read through its port, and its positions have gaps. */
  readonly elsewhere?: boolean;
}

export interface RebuildOptionsForTests {
  readonly fast?: boolean;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  readonly report?: (progress: RebuildProgress) => void;
  /** Reads the log through its port, as one does that is in another server. */
  readonly throughPort?: boolean;
  readonly kind?: Claim['kind'];
  /** Events written at once. */
  readonly batch?: { readonly events: number; readonly chars: number };
  /** Gets between the driver and the tables. */
  readonly wrap?: (target: BuildTarget) => BuildTarget;
}

/** Claims a version and builds it (or goes back to the previous one). */
export async function rebuildNow(
  log: RebuiltLog,
  projection: Projection,
  options: RebuildOptionsForTests = {},
): Promise<Rebuilt> {
  const { knex, embedded } = log.database;
  const { fast = true, clock = wallClock, signal = new AbortController().signal, report = () => undefined } = options;
  const given = { builder: randomUUID(), fast };
  const claim = await (options.kind === 'rollback' ? claimPrevious : claimBuild)(knex, projection, given);
  const source = sourceOf(log, options.throughPort);
  const wrap = options.wrap ?? ((target) => target);
  const copy = embedded ? null : copyRows;
  const tallied = fast ? Number(await log.store.head()) : undefined;
  const target = wrap(tablesTarget({ knex, store: log.store, clock: wallClock, source, claim, copy, tallied }));
  const [types, gapless] = [typesOf(projection), log.elsewhere !== true];
  const all = { target, store: log.store, source, clock, signal, types, gapless, fast, report, batch: options.batch };
  try {
    return await (claim.kind === 'rebuild' ? rebuild(all) : rollBack(all));
  } catch (error) {
    await target.flush().catch(() => undefined);
    if (signal.aborted) await releaseClaim(knex, claim, false);
    else await failClaim(knex, claim, error instanceof Error ? error.message : String(error));
    throw error;
  }
}

/** How a test log is read. */
export function sourceOf({ store, database, elsewhere }: RebuiltLog, throughPort = elsewhere === true): EventSource {
  return throughPort ? storeSource(store) : createPostgresLogSource(database.knex, plainCodec);
}

/** Everything in the log. */
export async function wholeLog({ store }: RebuiltLog): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = [];
  for await (const event of store.readAll(0n)) events.push(event);
  return events;
}

/** Versions of a read model by number, with their status. */
export async function statuses({ database }: RebuiltLog, name: string): Promise<Record<number, string>> {
  const rows = await database
    .knex('projections')
    .where({ name })
    .orderBy('version')
    .select<{ version: number; status: string }[]>('version', 'status');
  return Object.fromEntries(rows.map(({ version, status }) => [version, status]));
}

/** A log with a history, and empty read models. */
export async function filledLog(
  seed: number,
  batches = 300,
  open: () => Promise<TestLog> = realLog,
  discussions = 8,
): Promise<TestLog> {
  const log = await open();
  await appendAll(log.store, history({ seed, discussions, batches }));
  await ensureVersions(log.database.knex, readModels);
  return log;
}
