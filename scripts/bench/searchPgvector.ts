/** pgvector by the port, and by plain statements. */
import pg from 'pg';
import type { PassageFilter, VectorObject } from '../../domain/meaning/vectorIndex.ts';
import { createPgvector } from '../../infra/pgvector.ts';
import { COLUMNS, tableOf } from '../../infra/pgvectorTables.ts';
import { openStorage } from '../storage.ts';
import type { Place } from './place.ts';
import { SPEC } from './searchWorld.ts';
import { RAW_DEADLINE_MS, type SearchStore } from './searchStores.ts';

/** What the port sets for each search, set once for a connection. */
const SETTINGS = `set jit = off; set hnsw.iterative_scan = 'strict_order'; set hnsw.ef_search = 200; set hnsw.max_scan_tuples = 20000`;
const COLUMN_LIST = [...Object.keys(COLUMNS), 'embedding'].join(', ');
const TYPES = [...Object.values(COLUMNS), 'vector'];

/** In the database of the place. The floor has connections of its own on a server; embedded there is one session. */
export async function openPgvectorStore(place: Place, callers: number): Promise<SearchStore> {
  const storage = await openStorage(place.settings, place.log);
  const shared = storage.database.pool;
  const index = createPgvector({ pool: shared, embedded: place.embedded });
  // The extension is made with the first collection, and its settings are known only then.
  await index.create(0, SPEC);
  const own = place.url === null ? null : openPool(place.url, callers);
  if (own === null) await shared.query(SETTINGS);
  const pool = own ?? shared;
  return {
    index,
    raw: {
      create: async (version) =>
        void (await pool.query(`create table ${rawTable(version)} (like ${tableOf(0)} including all)`)),
      put: async (version, objects) => void (await pool.query(insertOf(rawTable(version), objects))),
      // Embedded the index is there from the first row.
      complete: place.embedded ? null : (version) => indexed(pool, rawTable(version)),
      async search(version, { vector, filter, limit }) {
        const { where, values } = conditionOf(filter);
        const text = `select ${COLUMN_LIST.replace('embedding', 'embedding <=> $1 as distance')} from ${tableOf(version)}
          ${where} order by embedding <=> $1::vector(${SPEC.dimensions}) limit ${limit}`;
        const { rows } = await pool.query<{ passage_id: string }>(text, [JSON.stringify(vector), ...values]);
        return rows.map((row) => row.passage_id);
      },
      drop: async (version) => void (await pool.query(`drop table if exists ${rawTable(version)}`)),
    },
    async close() {
      await index.close();
      await own?.end();
      await storage.close();
    },
  };
}

function openPool(connectionString: string, max: number): pg.Pool {
  // The pool waits for it before it hands a connection out, which its types do not say.
  const onConnect = (client: pg.ClientBase): unknown => client.query(SETTINGS);
  const pool = new pg.Pool({ connectionString, max, query_timeout: RAW_DEADLINE_MS, ...{ onConnect } });
  pool.on('error', () => undefined);
  return pool;
}

function rawTable(version: number): string {
  return `raw_vectors_v${version}`;
}

/** One statement of many rows. */
function insertOf(table: string, objects: readonly VectorObject[]): { text: string; values: unknown[] } {
  const values = objects.flatMap(({ passage, vector }) => [
    ...[passage.passageId, passage.project, passage.discussionId, passage.kind, passage.agentId, passage.eventId],
    ...[passage.stream, passage.revision, passage.position, passage.chunk, passage.starts, passage.ends],
    ...[passage.at, passage.text, JSON.stringify(vector)],
  ]);
  const rows = objects.map(
    (_, row) => `(${TYPES.map((type, i) => `$${row * TYPES.length + i + 1}::${type}`).join(', ')})`,
  );
  return { text: `insert into ${table} (${COLUMN_LIST}) values ${rows.join(', ')}`, values };
}

/** The same index by the same means, else the floor would have other memory and more processes. */
async function indexed(pool: pg.Pool, table: string): Promise<void> {
  await pool.query(`begin; set local maintenance_work_mem = '256MB'; set local max_parallel_maintenance_workers = 0;
    create index on ${table} using hnsw (embedding vector_cosine_ops) with (m = 16, ef_construction = 100); analyze ${table}; commit`);
}

/** By hand for the filters of the rows. */
function conditionOf({ projects, within, from, to }: PassageFilter): { where: string; values: unknown[] } {
  if (projects !== null) return { where: 'where project = any ($2::text[])', values: [projects] };
  const discussions = within?.map(({ discussionId }) => discussionId);
  if (discussions) return { where: 'where discussion_id = any ($2::text[])', values: [discussions] };
  if (from === undefined) return { where: '', values: [] };
  return { where: 'where at >= $2::timestamptz and at < $3::timestamptz', values: [from, to] };
}
