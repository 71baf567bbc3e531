/** One bounded pool of PostgreSQL connections, shared by knex (read models) and by plain pg (the log). */
import knexModule, { type Knex } from 'knex';
import pg from 'pg';

const CONNECT_MS = 5_000;
/** How long an idle connection is kept. */
const IDLE_MS = 30_000;
/** A transaction left open by a bug or a dead peer holds back vacuum and locks: the server ends it after this. */
const IDLE_IN_TRANSACTION_MS = 60_000;
const CLOSE_MS = 5_000;

export interface DatabaseOptions {
  readonly connection: string | pg.ClientConfig;
  /** Connections at most, at least 1. */
  readonly poolMax: number;
  /** PGlite behind a socket: one session, no server-side time-outs. */
  readonly embedded: boolean;
  readonly applicationName: string;
  /** Longest a query may take, milliseconds, default 30,000; a single query may ask for more by its `query_timeout`. */
  readonly queryMs?: number;
  /** Told about connections that broke while nobody was using them. */
  readonly onError?: (error: Error) => void;
}

export interface Database {
  readonly knex: Knex;
  readonly pool: pg.Pool;
  readonly embedded: boolean;
  /** Ends every connection; those still in use after 5 s are left to their own deadline. */
  close(): Promise<void>;
}

/**
 * Opens nothing yet: connections are made on first use, each within 5 s. int8 arrives as a string, as in plain pg.
 * A query that outlives its deadline rejects, and its connection is thrown away.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const { connection, poolMax, embedded, applicationName, queryMs = 30_000 } = options;
  const pool = new pg.Pool({
    ...(typeof connection === 'string' ? { connectionString: connection } : connection),
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_MS,
    idleTimeoutMillis: IDLE_MS,
    max: poolMax,
    keepAlive: true,
    query_timeout: queryMs,
    // The server gives up a little earlier than we do: its answer is certain, our time-out is not.
    ...(embedded
      ? {}
      : {
          statement_timeout: Math.ceil(queryMs * 0.9),
          idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
        }),
  });
  const onError = options.onError ?? (() => undefined);
  pool.on('error', onError);
  // The pool stops listening while a connection is in use; without this, its loss then would end the process.
  pool.on('connect', (client) => void client.on('error', () => undefined));
  // pg answers a time-out without stopping the query, and knex gives such a connection back as if it were free: the
  // next query would wait behind the old one, inside its transaction. Ending it makes the pool drop it.
  pool.on('release', (_error, client) => {
    if (!isFree(client)) void client.end().catch(() => undefined);
  });
  const knex = knexModule({ client: 'pg', connectionPool: pool, asyncStackTraces: false });
  return { knex, pool, embedded, close: () => closeAll(knex, pool) };
}

function isFree(client: pg.PoolClient): boolean {
  // 'I' is "idle, no transaction" in ReadyForQuery; null before the first query.
  const status: string | null = client.getTransactionStatus();
  return Reflect.get(client, 'readyForQuery') !== false && (status === 'I' || status === null);
}

async function closeAll(knex: Knex, pool: pg.Pool): Promise<void> {
  if (pool.ending) return;
  await knex.destroy();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_MS)));
  await Promise.race([pool.end(), late]).finally(() => clearTimeout(timer));
}
