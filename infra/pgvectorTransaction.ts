/** Several statements that need settings of their own, on one connection. */
import pg from 'pg';
import { Refusal, UnknownOutcome } from '../domain/refusal.ts';
import { timed } from './postgresQuery.ts';

/** How much earlier the server gives up than we do: its answer is certain, our time-out is not. */
const EARLIER = 0.9;

/** Runs a statement inside the transaction. */
export type Run = <R extends pg.QueryResultRow>(text: string, values?: unknown[]) => Promise<R[]>;

/**
 * Runs `work` in a transaction in which the settings hold: `set` without `local` would reach all who share the embedded
 * session. Each statement has the deadline. Rejects with what `work` was refused for or pg's `DatabaseError`, then
 * the transaction had no effect; or with `UnknownOutcome`.
 * @param settings names and values of PostgreSQL's settings; constants, never what a caller gave.
 */
export async function inTransaction<T>(
  pool: pg.Pool,
  { settings, deadlineMs }: { settings: Readonly<Record<string, string | number>>; deadlineMs: number },
  work: (run: Run) => Promise<T>,
): Promise<T> {
  const client = await pool.connect().catch((error: unknown) => {
    if (error instanceof Refusal) throw error;
    throw new Refusal('unavailable', 'the database cannot be reached', { cause: error, retryAfterMs: 1_000 });
  });
  const run: Run = async <R extends pg.QueryResultRow>(text: string, values: unknown[] = []) =>
    (await client.query<R>(timed({ text, values, deadlineMs }))).rows;
  try {
    const all = { ...settings, statement_timeout: Math.ceil(deadlineMs * EARLIER) };
    const set = Object.entries(all).map(([name, value]) => `set local ${name} = '${value}'`);
    await run(['begin', ...set].join('; '));
    const result = await work(run);
    await run('commit');
    client.release();
    return result;
  } catch (error) {
    // A connection that answers this can be used again; one that is stuck is thrown away.
    const usable = await client.query(timed({ text: 'rollback', values: [], deadlineMs: 1_000 })).then(
      () => true,
      () => false,
    );
    client.release(!usable);
    const told = error instanceof pg.DatabaseError || error instanceof Refusal;
    throw told ? error : new UnknownOutcome('the database did not answer', error);
  }
}
