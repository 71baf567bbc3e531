/** Finds the real servers that tests need; with `infra/config.ts` the only reader of the environment. */
import { randomUUID } from 'node:crypto';
import { connect as connectNats } from 'nats';
import pg from 'pg';
import { findNatsProgram, startNatsServer } from './natsServer.ts';
import { type PostgresServer, startPostgres } from './postgresServer.ts';
import { findWeaviateProgram, startWeaviateServer } from './weaviateServer.ts';

const CONNECT_DEADLINE_MS = 10_000;
const QUERY_DEADLINE_MS = 60_000;

export interface TestDatabase {
  /** Of a new, empty database. */
  readonly url: string;
  /** Which server, its version, and whether it has pgvector. */
  readonly description: string;
  /** Drops the database, and ends the server when this process started it. */
  stop(): Promise<void>;
}

/** True where a missing service is a failure instead of a suite left out. */
export function underCi(): boolean {
  return !['', '0', 'false', undefined].includes(process.env.CI);
}

/** The real Ollama that TEST_OLLAMA_URL names, null when it names none. Rejects when it does not answer. */
export async function ollamaForTests(): Promise<{ url: string; description: string } | null> {
  const url = process.env.TEST_OLLAMA_URL;
  if (!url) return null;
  const answer = await fetch(new URL('/api/version', url), { signal: AbortSignal.timeout(CONNECT_DEADLINE_MS) });
  const body: unknown = await answer.json();
  const version = typeof body === 'object' && body !== null && 'version' in body ? String(body.version) : '?';
  return { url, description: `Ollama ${version} (TEST_OLLAMA_URL)` };
}

/** Why tests that start a Weaviate of their own are left out where there is no program. */
export const NO_WEAVIATE = 'weaviate-server is not on PATH';

/** A program with which a test starts a Weaviate of its own, to kill it; null when there is none. */
export function weaviateProgramForTests(): ReturnType<typeof findWeaviateProgram> {
  return findWeaviateProgram(process.env.PATH ?? '');
}

/**
 * The Weaviate that TEST_WEAVIATE_URL names, which tests share, else one started here, else null. Rejects when one that is
 * to be had does not answer.
 */
export async function weaviateForTests(): Promise<{ url: string; description: string; stop(): Promise<void> } | null> {
  const named = process.env.TEST_WEAVIATE_URL;
  const program = named ? null : weaviateProgramForTests();
  if (!named && program === null) return null;
  const server = program === null ? null : await startWeaviateServer(program);
  const url = named || (server?.url ?? '');
  const answer = await fetch(`${url}/v1/meta`, { signal: AbortSignal.timeout(CONNECT_DEADLINE_MS) });
  const body: unknown = await answer.json();
  const version = typeof body === 'object' && body !== null && 'version' in body ? String(body.version) : '?';
  const description = `Weaviate ${version} (${server?.origin ?? 'TEST_WEAVIATE_URL'})`;
  return { url, description, stop: async () => await server?.stop() };
}

export interface TestNats {
  /** Tests share the server: each uses a lineage of its own, and `dropNatsStreams` afterwards. */
  readonly url: string;
  readonly description: string;
  /** Ends the server when this process started it. */
  stop(): Promise<void>;
}

/** The environment's server when TEST_NATS_URL names one, else a server started here. Rejects with the reasons. */
export async function findNats(): Promise<TestNats> {
  const url = process.env.TEST_NATS_URL;
  const origin = process.env.TEST_NATS_ORIGIN;
  if (url) return await describedNats({ url, origin: origin ?? 'TEST_NATS_URL', stop: async () => undefined });
  const program = await natsProgramForTests().catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`no NATS for tests: set TEST_NATS_URL or install nats-server (${reason})`);
  });
  return await describedNats(await startNatsServer(program));
}

/** A program with which a test starts a NATS server of its own, to kill it. Rejects with the reasons. */
export function natsProgramForTests(): ReturnType<typeof findNatsProgram> {
  return findNatsProgram(process.env.PATH ?? '');
}

let nats: Promise<TestNats> | undefined;
let natsUsers = 0;

/** A real NATS server with JetStream, for one test file; call `stop` in its `after` hook. */
export async function natsForTests(): Promise<TestNats> {
  nats ??= findNats();
  natsUsers += 1;
  const mine = await nats;
  const stop = async (): Promise<void> => {
    natsUsers -= 1;
    if (natsUsers > 0) return;
    nats = undefined;
    await mine.stop();
  };
  return { ...mine, stop };
}

/** Deletes the streams of an installation, named by a part of their names. */
export async function dropNatsStreams(url: string, part: string): Promise<void> {
  const nc = await connectNats({ servers: url, timeout: CONNECT_DEADLINE_MS });
  try {
    const jsm = await nc.jetstreamManager();
    const names = await jsm.streams.names().next();
    for (const name of names) if (name.includes(part)) await jsm.streams.delete(name);
  } finally {
    await nc.close();
  }
}

async function describedNats(server: { url: string; origin: string; stop(): Promise<void> }): Promise<TestNats> {
  const { url, origin } = server;
  const nc = await connectNats({ servers: url, timeout: CONNECT_DEADLINE_MS }).catch(async (error: unknown) => {
    await server.stop();
    throw new Error(`NATS (${origin}) does not answer: ${error instanceof Error ? error.message : String(error)}`);
  });
  const description = `NATS ${nc.info?.version ?? '?'} (${origin})`;
  await nc.close();
  return { url, description, stop: () => server.stop() };
}

/** The real EventStoreDB that EVENTSTORE_URL names (`esdb://host:port?tls=false`), null when it names none. */
export function eventStoreForTests(): { url: string } | null {
  const url = process.env.EVENTSTORE_URL;
  return url ? { url } : null;
}

/** The real S3 that TEST_S3_URL names (`s3://bucket/prefix?endpoint=…`) with the keys beside it, null when it names none. */
export function s3ForTests(): { place: string; accessKeyId: string; secretAccessKey: string } | null {
  const { TEST_S3_URL: place, TEST_S3_ACCESS_KEY_ID: accessKeyId, TEST_S3_SECRET_ACCESS_KEY: secret } = process.env;
  return place && accessKeyId && secret ? { place, accessKeyId, secretAccessKey: secret } : null;
}

/** The environment for a test process. */
export function environmentWith(extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...process.env, ...extra };
}

/** Changes this process's environment, undefined takes away. @returns what puts it back. */
export function changeEnvironment(changes: Readonly<Record<string, string | undefined>>): () => void {
  const set = (values: Readonly<Record<string, string | undefined>>) => {
    for (const [name, value] of Object.entries(values))
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
  };
  const before = Object.fromEntries(Object.keys(changes).map((name) => [name, process.env[name]]));
  set(changes);
  return () => set(before);
}

/** The environment's server when TEST_DATABASE_URL names one, else a server started here. Rejects with the reasons. */
export async function findPostgres(): Promise<PostgresServer> {
  const url = process.env.TEST_DATABASE_URL;
  if (url) return { url, origin: process.env.TEST_DATABASE_ORIGIN ?? 'TEST_DATABASE_URL', stop: async () => undefined };
  return await startPostgres(process.env.PATH ?? '').catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `no PostgreSQL for tests: set TEST_DATABASE_URL or install PostgreSQL's server programs (${reason})`,
    );
  });
}

let server: Promise<PostgresServer> | undefined;
let databases = 0;

/** A new, empty database on a real server, for one test file; call `stop` in its `after` hook. */
export async function postgresForTests(): Promise<TestDatabase> {
  server ??= findPostgres();
  databases += 1;
  const { url, origin } = await server;
  const name = `${databasePrefix()}${randomUUID().replaceAll('-', '').slice(0, 16)}`;
  const description = await onServer(url, async (client) => {
    await client.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8'`);
    return await describePostgres(client, origin);
  });
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    await onServer(url, async (client) => void (await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)));
    databases -= 1;
    if (databases > 0) return;
    const last = server;
    server = undefined;
    await (await last)?.stop();
  };
  const own = new URL(url);
  own.pathname = `/${name}`;
  return { url: own.href, description, stop };
}

/** Version, pgvector and origin of the server at `url`, in one line. Rejects when it does not answer. */
export async function describeServer({ url, origin }: PostgresServer): Promise<string> {
  return await onServer(url, async (client) => await describePostgres(client, origin)).catch((error: unknown) => {
    throw new Error(
      `PostgreSQL (${origin}) does not answer: ${error instanceof Error ? error.message : String(error)}`,
    );
  });
}

/** Drops the databases that killed test processes of this run left on the server. */
export async function dropLeftovers(url: string, runId: string): Promise<void> {
  await onServer(url, async (client) => {
    const { rows } = await client.query<{ datname: string }>(
      'SELECT datname FROM pg_database WHERE starts_with(datname, $1)',
      [`colloquy_test_${runId}_`],
    );
    for (const { datname } of rows) await client.query(`DROP DATABASE IF EXISTS ${datname} WITH (FORCE)`);
  });
}

function databasePrefix(): string {
  return `colloquy_test_${process.env.TEST_RUN_ID ?? 'one'}_`;
}

async function describePostgres(client: pg.Client, origin: string): Promise<string> {
  const { rows } = await client.query<{ version: string; vector: string | null }>(
    `SELECT current_setting('server_version') AS version,
      (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS vector`,
  );
  const [row] = rows;
  return `PostgreSQL ${row?.version ?? '?'} (${origin}; ${row?.vector ? `pgvector ${row.vector}` : 'no pgvector'})`;
}

async function onServer<T>(connectionString: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString,
    connectionTimeoutMillis: CONNECT_DEADLINE_MS,
    query_timeout: QUERY_DEADLINE_MS,
  });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
