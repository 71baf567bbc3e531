/** One statement on a connection of the pool, with its own deadline and the port's words for what can go wrong. */
import pg from 'pg';
import { Refusal, UnknownOutcome } from '../domain/refusal.ts';

interface TimedQuery extends pg.QueryConfig<unknown[]> {
  /** Read by pg for a single query; missing from its types. */
  readonly query_timeout: number;
}

/** A statement as it is sent. With a `name` each connection plans it once. */
export interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values: unknown[];
  readonly deadlineMs: number;
  /** Settings, as SQL without parameters, that its connection is given once and keeps. */
  readonly session?: string;
}

/** The settings that connections were given. */
const sessions = new WeakMap<pg.PoolClient, Set<string>>();

/**
 * Runs a statement. Rejects with `Refusal('unavailable')` when no connection was to be had (nothing was sent), with
 * `UnknownOutcome` when the connection broke or the time was up afterwards, and with pg's `DatabaseError` when the server
 * refused the statement, which then had no effect.
 */
export async function runStatement<R extends pg.QueryResultRow>(pool: pg.Pool, statement: Statement): Promise<R[]> {
  const client = await pool.connect().catch((error: unknown) => {
    if (error instanceof Refusal) throw error;
    throw new Refusal('unavailable', 'the database cannot be reached', { cause: error, retryAfterMs: 1000 });
  });
  try {
    await prepareSession(client, statement);
    const result = await client.query<R>(timed(statement));
    client.release();
    return result.rows;
  } catch (error) {
    const refused = error instanceof pg.DatabaseError && !endsConnection(error);
    client.release(!refused);
    if (refused) throw error;
    throw new UnknownOutcome('the database did not answer', error);
  }
}

async function prepareSession(client: pg.PoolClient, { session, deadlineMs }: Statement): Promise<void> {
  const given = sessions.get(client) ?? new Set();
  if (session === undefined || given.has(session)) return;
  await client.query(timed({ text: session, values: [], deadlineMs }));
  sessions.set(client, given.add(session));
}

/** As `runStatement`, for statements without effect: every failure is a `Refusal`. */
export async function runRead<R extends pg.QueryResultRow>(pool: pg.Pool, statement: Statement): Promise<R[]> {
  return await runStatement<R>(pool, statement).catch((error: unknown) => {
    throw asRefusal(error);
  });
}

/** What a failed statement that had no effect is called. */
export function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const passing =
    error instanceof UnknownOutcome ||
    (error instanceof pg.DatabaseError && /^(08|25|40|53|55|57|58)/.test(error.code ?? ''));
  return passing
    ? new Refusal('unavailable', 'the database is not able to answer now', { cause: error, retryAfterMs: 1000 })
    : new Refusal('internal', 'the database refused a statement', { cause: error });
}

/** The statement as pg takes it, with its deadline. */
export function timed(statement: Statement): TimedQuery {
  const { deadlineMs, session: _session, ...query } = statement;
  return { ...query, query_timeout: deadlineMs };
}

/** The server ended the session (shutdown, crash of another backend): whether it committed before is not known. */
function endsConnection(error: pg.DatabaseError): boolean {
  return /^(08|57P)/.test(error.code ?? '') || error.severity === 'FATAL' || error.severity === 'PANIC';
}
