/** One table per version of the vectors; its comment tells what all its vectors have in common. */
import pg from 'pg';
import { z } from 'zod';
import type { IndexSpec } from '../domain/meaning/vectorIndex.ts';
import { Refusal } from '../domain/refusal.ts';
import { extensionFault } from './pgvectorExtension.ts';
import { vectorFault } from './pgvectorFault.ts';
import { inTransaction, type Run } from './pgvectorTransaction.ts';
import { runRead, runStatement } from './postgresQuery.ts';

const DEADLINE_MS = 30_000;
/** A million vectors take minutes. */
const COMPLETE_MS = 1_800_000;
/** Where the longest kind of vector that an index can hold ends. */
const MOST_INDEXED = 4_000;
const MOST_IN_FULL = 2_000;
const LOCK_KEY = 7303014108;
/** Of the index: links per vector, and how many are looked at to place one. */
const LINKS = 16;
const LOOKED_AT = 100;

const specSchema = z.object({
  model: z.string(),
  digest: z.string().nullable(),
  dimensions: z.number().int().min(1),
  chunker: z.string(),
});

/** The columns of a passage as they are made, in order. */
export const COLUMNS = {
  passage_id: 'uuid',
  project: 'text',
  discussion_id: 'text',
  kind: 'text',
  agent_id: 'text',
  event_id: 'text',
  stream: 'text',
  revision: 'int',
  position: 'text',
  chunk: 'int',
  starts: 'int',
  ends: 'int',
  at: 'timestamptz',
  text: 'text',
} as const;

/** @throws Refusal `invalid` for what is no number of a version. */
export function tableOf(version: number): string {
  if (!Number.isSafeInteger(version) || version < 0) throw new Refusal('invalid', 'a version is a whole number');
  return `embeddings_vectors_v${version}`;
}

/** The type of its vectors: half precision where an index holds no more. */
export function vectorType({ dimensions }: IndexSpec): string {
  return `${dimensions > MOST_IN_FULL ? 'halfvec' : 'vector'}(${dimensions})`;
}

/** Where tables are kept. */
export interface VectorDatabase {
  readonly pool: pg.Pool;
  /** One session for all: a statement holds up everybody, so none may last. */
  readonly embedded: boolean;
}

/**
 * Makes the table, and the extension in a new database. Embedded the index of the vectors is made at once and grows with
 * every statement: making it of many would hold up all others for a minute, and the engine would be taken for dead.
 * Rejects as the port says.
 */
export async function createTable({ pool, embedded }: VectorDatabase, version: number, spec: IndexSpec): Promise<void> {
  const wanted = JSON.stringify(specSchema.parse(spec));
  const table = tableOf(version);
  await inTransaction(pool, { settings: {}, deadlineMs: DEADLINE_MS }, async (run) => {
    // Two who make the same at once would fail at PostgreSQL's own tables.
    await run(`select pg_advisory_xact_lock(${LOCK_KEY})`);
    await run('create extension if not exists vector');
    const found = await specIn(run, version);
    if (found !== null && JSON.stringify(found) === wanted) return;
    if (found !== null)
      throw new Refusal('conflict', `version ${version} of the vectors is of another model or chunker: rebuild them`);
    const columns = Object.entries(COLUMNS).map(([name, type]) => {
      return `${name} ${type} ${name === 'passage_id' ? 'primary key' : name === 'agent_id' ? '' : 'not null'}`;
    });
    await run(`create table ${table} (${columns.join(', ')}, embedding ${vectorType(spec)} not null)`);
    for (const indexed of ['project, discussion_id', 'discussion_id, revision', 'agent_id', 'at'])
      await run(`create index on ${table} (${indexed})`);
    if (embedded) await indexVectors(run, version, spec);
    await run(`comment on table ${table} is ${pg.escapeLiteral(wanted)}`);
  }).catch((error: unknown) => {
    throw extensionFault(error, version);
  });
}

/** The spec in the table's comment, null when there is no table. Rejects with a `Refusal`. */
export async function readSpec(pool: pg.Pool, version: number): Promise<IndexSpec | null> {
  const run: Run = async (text, values = []) => await runRead(pool, { text, values, deadlineMs: DEADLINE_MS });
  return await specIn(run, version);
}

async function specIn(run: Run, version: number): Promise<IndexSpec | null> {
  const [row] = await run<{ table: string | null; spec: string | null }>(specSql, [tableOf(version)]);
  if (row?.table == null) return null;
  try {
    return specSchema.parse(JSON.parse(row.spec ?? ''));
  } catch (cause) {
    const says = `the table ${tableOf(version)} does not tell what it holds: drop it and rebuild the embeddings`;
    throw new Refusal('conflict', says, { cause });
  }
}

/** Makes the index of the vectors, which until then are all compared, and tells the planner what the table holds. */
export async function completeTable(pool: pg.Pool, version: number, spec: IndexSpec): Promise<void> {
  // By one process: several need shared memory of that size, which containers do not have, and searches go on beside it.
  const settings = { maintenance_work_mem: '256MB', max_parallel_maintenance_workers: 0 };
  await inTransaction(pool, { settings, deadlineMs: COMPLETE_MS }, async (run) => {
    await indexVectors(run, version, spec);
    await run(`analyze ${tableOf(version)}`);
  }).catch((error: unknown) => {
    throw vectorFault(error, version);
  });
}

async function indexVectors(run: Run, version: number, spec: IndexSpec): Promise<void> {
  if (spec.dimensions > MOST_INDEXED) return;
  const [table, kind] = [tableOf(version), vectorType(spec).replace(/\(.*/, '')];
  await run(
    `create index if not exists ${table}_nearest on ${table} using hnsw (embedding ${kind}_cosine_ops)
     with (m = ${LINKS}, ef_construction = ${LOOKED_AT})`,
  );
}

/** Drops the table if it is there. Rejects with a `Refusal`. */
export async function dropTable(pool: pg.Pool, version: number): Promise<void> {
  const text = `drop table if exists ${tableOf(version)}`;
  await runStatement(pool, { text, values: [], deadlineMs: DEADLINE_MS }).catch((error: unknown) => {
    throw vectorFault(error, version);
  });
}

/** The versions that have a table, in order. Rejects with a `Refusal`. */
export async function tableVersions(pool: pg.Pool): Promise<number[]> {
  const rows = await runRead<{ name: string }>(pool, { text: tablesSql, values: [], deadlineMs: DEADLINE_MS });
  return rows.map(({ name }) => Number(/\d+$/.exec(name)?.[0])).sort((a, b) => a - b);
}

const specSql = `select to_regclass($1)::text as table, obj_description(to_regclass($1), 'pg_class') as spec`;
const tablesSql = `
select tablename as name from pg_tables
where schemaname = current_schema() and tablename ~ '^embeddings_vectors_v[0-9]+$'`;
