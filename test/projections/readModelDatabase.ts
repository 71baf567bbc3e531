import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Knex } from 'knex';
import type pg from 'pg';
import * as assert from 'uvu/assert';
import { canonicalJson } from '../../domain/codec.ts';
import type { RecordedEvent } from '../../domain/envelope.ts';
import { openDatabase } from '../../infra/database.ts';
import { startEmbeddedPostgres } from '../../infra/embeddedPostgres.ts';
import { migrate } from '../../infra/migrate.ts';
import { foldRows } from '../../projections/fold.ts';
import type { Projection } from '../../projections/projection.ts';
import { runProjections, type ProjectionRunner, type RunOptions } from '../../projections/run.ts';
import { skippedOf } from '../../projections/skippedEvents.ts';
import { decodeRow, liveView, selectList } from '../../projections/tables.ts';
import { postgresForTests } from '../services.ts';
import { wallClock } from '../standins/wallClock.ts';

export interface ReadModelDatabase {
  readonly knex: Knex;
  /** Drops all read models: the next test begins with none. */
  empty(): Promise<void>;
  stop(): Promise<void>;
}

/** A migrated database of its own on a real server. */
export async function readModelDatabase(): Promise<ReadModelDatabase & { readonly url: string }> {
  const server = await postgresForTests();
  return { url: server.url, ...(await opened(server.url, false, () => server.stop())) };
}

/** A migrated embedded database of its own. */
export async function embeddedReadModels(): Promise<ReadModelDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'colloquy-models-'));
  const embedded = await startEmbeddedPostgres({ dataDir: join(folder, 'data'), onFault: () => undefined });
  return await opened(embedded.connection, true, async () => {
    await embedded.stop();
    await rm(folder, { recursive: true, force: true });
  });
}

async function opened(
  connection: string | pg.ClientConfig,
  embedded: boolean,
  stop: () => Promise<void>,
): Promise<ReadModelDatabase> {
  const database = openDatabase({ connection, poolMax: 8, embedded, applicationName: 'projections test' });
  const { knex } = database;
  await migrate(knex);
  return {
    knex,
    async empty() {
      const made = await knex('pg_tables').where('schemaname', 'public').whereRaw(`tablename ~ '_v[0-9]+$'`);
      const names = made.map((each: { tablename: string }) => each.tablename);
      if (names.length > 0) await knex.raw(`drop table ${names.join(', ')} cascade`);
      await knex.raw('truncate projections, dead_letters, skipped_events, solved_letters');
    },
    async stop() {
      await database.close();
      await stop();
    },
  };
}

export interface Running extends ProjectionRunner {
  readonly faults: unknown[];
  stop(): Promise<void>;
}

/** Starts a runner on real time; `stop` ends it and waits until it is done. */
export async function startRunner(options: Pick<RunOptions, 'knex' | 'store' | 'projections'>): Promise<Running> {
  const stopping = new AbortController();
  const faults: unknown[] = [];
  const onFault = (error: unknown) => void faults.push(error);
  const runner = await runProjections({ ...options, clock: wallClock, signal: stopping.signal, onFault });
  return {
    ...runner,
    faults,
    async stop() {
      stopping.abort();
      await runner.finished;
    },
  };
}

/** Runs until everything in the log is applied. */
export async function applyAll(options: Pick<RunOptions, 'knex' | 'store' | 'projections'>): Promise<Running> {
  const runner = await startRunner(options);
  const names = options.projections.map((each) => each.name);
  const reached = await runner.waitFor(await options.store.head(), names, { timeoutMs: 8_000 });
  await runner.stop();
  assert.ok(reached, `not applied in time; faults: ${runner.faults.map(String).join(', ')}`);
  return runner;
}

/** I5: the live tables hold, row by row, what folding the log gives. */
export async function assertEqualsFold(
  knex: Knex,
  projections: readonly Projection[],
  events: readonly RecordedEvent[],
): Promise<void> {
  for (const projection of projections)
    for (const [name, rows] of foldRows(projection, events, await skippedOf(knex, projection.name))) {
      const table = projection.tables.find((each) => each.name === name);
      if (table === undefined) throw new Error(`no table ${name}`);
      const found = await knex.raw<{ rows: Record<string, unknown>[] }>(
        `select ${selectList(table)} from ${liveView(projection, table)}`,
      );
      const there = found.rows.map((raw) => canonicalJson(decodeRow(table, raw))).sort();
      const expected = [...rows.values()].map((row) => canonicalJson(row)).sort();
      assert.equal(there, expected, `table ${name}`);
    }
}
