/** Rows about read models that catch up with the log from its beginning. */
import type pg from 'pg';
import type { EventMetadata, RecordedEvent } from '../../domain/envelope.ts';
import { systemClock } from '../../infra/system.ts';
import { discussions } from '../../projections/discussions.ts';
import { foldRows } from '../../projections/fold.ts';
import type { Projection, Row, Table } from '../../projections/projection.ts';
import { readModels } from '../../projections/readModels.ts';
import { runProjections } from '../../projections/run.ts';
import {
  columnName,
  createIndexes,
  createTables,
  dropTables,
  recordsetColumns,
  tableName,
} from '../../projections/tables.ts';
import { openStorage, type Storage } from '../storage.ts';
import { compare, ratioAtLeast, type Measured, type Report } from './measure.ts';
import type { Place } from './place.ts';
import { EVENTS_EACH, seedLog } from './seedLog.ts';

const CATCH_UP_MS = 150_000;
const PAGE = 2_000;
/** No projection's own tables have this version. */
const FLOOR_VERSION = 9_000;

/** One read model and all of them; floor: keyset read, JSON.parse, fold in memory, each row written once, set-based. */
export async function projectionRows(place: Place, report: Report): Promise<void> {
  const storage = await openStorage(place.settings, place.log);
  const count = place.quick ? 1_000 : place.embedded ? 3_000 : 8_000;
  const events = count * EVENTS_EACH;
  try {
    await seedLog(storage.store, count);
    await storage.database.knex.raw('vacuum analyze');
    const row = (projections: readonly Projection[]) => async (): Promise<Measured> => {
      const rate = (work: () => Promise<void>) => async () => {
        const started = performance.now();
        await work();
        return (events * 1000) / (performance.now() - started);
      };
      const result = await compare(
        place.quick ? 1 : 3,
        rate(() => catchUp(storage, projections)),
        rate(() => floor(storage, projections)),
      );
      return {
        ...result,
        unit: 'events/s',
        target: ratioAtLeast(0.55, result.ratio),
        note: `${events.toLocaleString('en')} events of ${count.toLocaleString('en')} discussions`,
      };
    };
    await report('catch-up: one read model (discussions)', row([discussions]));
    await report(`catch-up: all ${readModels.length} read models`, row(readModels));
  } finally {
    await storage.close();
  }
}

/** As a service does that finds no read models. */
async function catchUp({ database, store }: Storage, projections: readonly Projection[]): Promise<void> {
  const { knex } = database;
  for (const each of projections) await dropTables(knex, each, 1);
  await knex.raw('truncate projections, dead_letters');
  const over = new AbortController();
  const runner = await runProjections({ knex, store, clock: systemClock, projections, signal: over.signal });
  const names = projections.map(({ name }) => name);
  const reached = await runner.waitFor(await store.head(), names, { timeoutMs: CATCH_UP_MS });
  over.abort();
  await runner.finished;
  if (!reached) throw new Error('the read models did not catch up');
}

/** Makes the rows of read models in a bare loop: keyset pages, JSON.parse, one fold in memory, each row inserted once. */
export async function floor({ database }: Storage, projections: readonly Projection[]): Promise<void> {
  const { knex, pool } = database;
  for (const each of projections) {
    await dropTables(knex, each, FLOOR_VERSION);
    await createTables(knex, each, FLOOR_VERSION);
    await createIndexes(knex, each, FLOOR_VERSION);
  }
  const events = await readEvents(pool);
  for (const projection of projections) {
    const rows = foldRows(projection, events);
    for (const table of projection.tables) await insert(pool, table, [...(rows.get(table.name)?.values() ?? [])]);
  }
  for (const each of projections) await dropTables(knex, each, FLOOR_VERSION);
}

interface EventRow {
  position: string;
  stream: string;
  revision: string;
  id: string;
  type: string;
  schema_version: number;
  data: string;
  metadata: string;
}

async function readEvents(pool: pg.Pool): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = [];
  for (let after = '0'; ;) {
    const { rows } = await pool.query<EventRow>(
      `select position, stream, revision, id, type, schema_version, data, metadata from events
       where position > $1 order by position limit ${PAGE}`,
      [after],
    );
    for (const { position, stream, revision, id, type, schema_version, data, metadata } of rows)
      events.push({
        position: BigInt(position),
        stream,
        revision: Number(revision),
        id,
        type,
        schemaVersion: schema_version,
        data: JSON.parse(data) as unknown,
        metadata: JSON.parse(metadata) as EventMetadata,
      });
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return events;
    after = last.position;
  }
}

async function insert(pool: pg.Pool, table: Table, rows: readonly Row[]): Promise<void> {
  const columns = Object.keys(table.columns);
  for (let i = 0; i < rows.length; i += PAGE)
    await pool.query(
      `insert into ${tableName(table, FLOOR_VERSION)} (${columns.map(columnName).join(', ')})
       select ${columns.map((column) => `"${column}"`).join(', ')}
       from json_to_recordset($1::json) as x(${recordsetColumns(table)})`,
      [JSON.stringify(rows.slice(i, i + PAGE))],
    );
}
