/** One bounded pool of PostgreSQL connections, shared by knex (read models) and by plain pg (the log). */
import type { Knex } from 'knex';
import pg from 'pg';
import { Refusal } from '../domain/refusal.ts';
import { createKnex } from './postgresKnex.ts';
import { type QueryWatch, watchQueries } from './postgresTiming.ts';

const CONNECT_MS = 5_000;
/** How long an idle connection is kept. */
const IDLE_MS = 30_000;
/** A transaction left open by a bug or a dead peer holds back vacuum and locks: the server ends it after this. */
const IDLE_IN_TRANSACTION_MS = 60_000;
const CLOSE_MS = 5_000;
/** Statements that may wait for a connection: at 10 ms each they are served within a second. */
const WAITING_PER_CONNECTION = 100;
const WAITING_AT_LEAST = 1_000;

export interface DatabaseOptions {
  readonly connection: string | pg.ClientConfig;
  /** Connections at most, at least 1. */
  readonly poolMax: number;
  /** Statements that may wait for a connection, 100 for each connection and at least 1,000 unless said. */
  readonly waitingMax?: number;
  /** PGlite behind a socket: one session, no server-side time-outs. */
  readonly embedded: boolean;
  readonly applicationName: string;
  /** Longest a query may take, milliseconds, default 30,000; a single query may ask for more by its `query_timeout`. */
  readonly queryMs?: number;
  /** Where the time of statements is told, if anywhere. */
  readonly watch?: QueryWatch;
  /** Told about connections that broke while nobody was using them. */
  readonly onError?: (error: Error) => void;
}

export interface Database {
  readonly knex: Knex;
  readonly pool: pg.Pool;
  readonly embedded: boolean;
  /** How the pool is used now. */
  stats(): { readonly idle: number; readonly active: number; readonly waiting: number };
  /** Ends every connection; those still in use after 5 s are left to their own deadline. */
  close(): Promise<void>;
}

/**
 * Opens nothing yet: connections are made on first use, each within 5 s. int8 arrives as a string, as in plain pg.
 * A query that outlives its deadline rejects, and its connection is thrown away. When too many wait for a connection the
 * next is refused at once (`unavailable`): it would only be answered when nobody wants the answer any more.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const { connection, poolMax, embedded, applicationName, queryMs = 30_000 } = options;
  const { waitingMax = Math.max(WAITING_AT_LEAST, poolMax * WAITING_PER_CONNECTION) } = options;
  const pool = new pg.Pool({
    ...(typeof connection === 'string' ? { connectionString: connection } : connection),
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_MS,
    idleTimeoutMillis: IDLE_MS,
    max: poolMax,
    keepAlive: true,
    query_timeout: queryMs,
    ...(embedded ? {} : { onConnect: withoutJit }),
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
  pool.on('connect', (client) => {
    client.on('error', () => undefined);
  });
  // pg answers a time-out without stopping the query, and knex gives such a connection back as if it were free: the
  // next query would wait behind the old one, inside its transaction. Ending it makes the pool drop it.
  pool.on('release', (_error, client) => {
    if (!isFree(client)) void client.end().catch(() => undefined);
  });
  boundWaiting(pool, waitingMax);
  if (options.watch !== undefined) watchQueries(pool, options.watch);
  const knex = createKnex(pool);
  const stats = () => ({
    idle: pool.idleCount,
    active: pool.totalCount - pool.idleCount,
    waiting: pool.waitingCount,
  });
  return { knex, pool, embedded, stats, close: () => closeAll(knex, pool) };
}

/**
 * Our statements are short. Where the server has its JIT compiler, estimates of a young database, or a table that must not
 * be scanned, make it compile for 80 ms what takes 1 ms (seen: 60 turns a second instead of hundreds). The pool waits for
 * the promise before it hands the connection out, which its types do not say.
 */
function withoutJit(client: pg.ClientBase): unknown {
  return client.query('set jit = off').catch(() => undefined);
}

/**
 * All ways to a connection, `pool.query` and knex's too, lead through `connect`. That none is to be had is told in the
 * port's words: nothing was sent, so whatever was asked for may be asked again.
 */
function boundWaiting(pool: pg.Pool, waitingMax: number): void {
  const connect: unknown = pool.connect.bind(pool);
  if (typeof connect !== 'function') return;
  const bounded = (callback?: unknown): unknown => {
    const full = pool.waitingCount >= waitingMax ? unavailable('has too much to do') : null;
    if (typeof callback !== 'function') {
      if (full !== null) return Promise.reject(full);
      const client: unknown = Reflect.apply(connect, undefined, []);
      return Promise.resolve(client).catch((error: unknown) => Promise.reject(unavailable('cannot be reached', error)));
    }
    const told = (error: unknown, ...rest: unknown[]): void => {
      Reflect.apply(callback, undefined, [error ? unavailable('cannot be reached', error) : error, ...rest]);
    };
    if (full === null) Reflect.apply(connect, undefined, [told]);
    else setImmediate(() => void Reflect.apply(callback, undefined, [full]));
    return undefined;
  };
  Reflect.set(pool, 'connect', bounded);
}

function unavailable(what: string, cause?: unknown): Refusal {
  return new Refusal('unavailable', `the database ${what}`, { retryable: true, retryAfterMs: 1_000, cause });
}

function isFree(client: pg.PoolClient): boolean {
  // 'I' is "idle, no transaction" in ReadyForQuery; null before the first query.
  const status: string | null = client.getTransactionStatus();
  return Reflect.get(client, 'readyForQuery') !== false && (status === 'I' || status === null);
}

async function closeAll(knex: Knex, pool: pg.Pool): Promise<void> {
  if (pool.ending) return;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_MS)));
  await Promise.race([pool.end(), late]).finally(() => clearTimeout(timer));
  // Last: once destroyed, knex gives back no connection any more, and one that was in use would keep the process alive.
  await knex.destroy();
}
