/** Where a group of rows runs: a fresh embedded database, or a fresh database on a real server. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { readSettings, type Settings } from '../../infra/config.ts';
import { createLogger } from '../../infra/logging.ts';

export interface Place {
  readonly embedded: boolean;
  readonly settings: Settings;
  readonly log: ReturnType<typeof createLogger>;
  readonly quick: boolean;
  /** Where the floor connects to: a server's URL; null when embedded, where the log's pool has to do. */
  readonly url: string | null;
  /** Drops what was made. */
  stop(): Promise<void>;
}

const CONNECT_MS = 10_000;
const QUERY_MS = 60_000;

/** @param server the URL of a server on which databases can be made; null for embedded. */
export async function openPlace(server: string | null, quick: boolean): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'colloquy-bench-'));
  const log = createLogger('error');
  const fixed = { COLLOQUY_DATA: folder, PORT: '0', RATE_LIMIT_PER_MINUTE: '1000000' };
  const removeFolder = () => rm(folder, { recursive: true, force: true });
  if (server === null)
    return { embedded: true, settings: readSettings(fixed, {}), log, quick, url: null, stop: removeFolder };
  const name = `colloquy_bench_${randomBytes(8).toString('hex')}`;
  await onServer(server, `create database ${name} template template0 encoding 'UTF8'`);
  const own = new URL(server);
  own.pathname = `/${name}`;
  return {
    embedded: false,
    settings: readSettings({ ...fixed, DATABASE_URL: own.href }, {}),
    log,
    quick,
    url: own.href,
    async stop() {
      await onServer(server, `drop database if exists ${name} with (force)`);
      await removeFolder();
    },
  };
}

/** The server's version in a few words. */
export async function describeServer(server: string): Promise<string> {
  const [row] = await onServer(
    server,
    `select current_setting('server_version') as version, current_setting('fsync') as fsync`,
  );
  return `PostgreSQL ${row?.['version'] ?? '?'}, fsync ${row?.['fsync'] ?? '?'}`;
}

async function onServer(connectionString: string, sql: string): Promise<Record<string, string>[]> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: CONNECT_MS, query_timeout: QUERY_MS });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, string>>(sql)).rows;
  } finally {
    await client.end();
  }
}
