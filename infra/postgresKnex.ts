/** knex on the pool, with the port's words for a server that went away in the middle of a query. */
import knexModule, { type Knex } from 'knex';
import pg from 'pg';
import { Refusal, UnknownOutcome } from '../domain/refusal.ts';
import { asRefusal } from './postgresQuery.ts';

/** What a dialect of knex is asked to send; not in its types. */
interface Dialect extends Knex.Client {
  _query(connection: unknown, query: unknown): Promise<unknown>;
}

/**
 * Queries that found no server, or lost it, reject with `Refusal('unavailable')`, retryable: without this an API answers
 * 500 for a read that was under way when the database was restarted. What the server refused is thrown as pg has it.
 */
export function createKnex(pool: pg.Pool): Knex {
  // knex prints every connection that was not to be had, with its stack, and then throws it: the caller tells of it.
  const log = { warn: () => undefined };
  return knexModule({ client: telling(), connectionPool: pool, asyncStackTraces: false, log });
}

/** Made by its class because transactions are made from the class, too, not from the instance. */
function telling(): typeof Knex.Client {
  const plain = knexModule({ client: 'pg' }).client as Dialect;
  const Plain = plain.constructor as new (config: Knex.Config) => Dialect;
  const Telling = class extends Plain {
    override async _query(connection: unknown, query: unknown): Promise<unknown> {
      return super._query(connection, query).catch((error: unknown) => {
        const told = inOurWords(error);
        throw told instanceof Refusal ? asItIs(told) : told;
      });
    }
  };
  return Object.assign(Telling, knexModule.Client);
}

/** knex puts the statement before the message of whatever it is thrown: clients would read it. */
function asItIs(refusal: Refusal): Refusal {
  const { message } = refusal;
  return Object.defineProperty(refusal, 'message', { get: () => message, set: () => undefined });
}

function inOurWords(error: unknown): unknown {
  if (error instanceof Refusal) return error;
  // Shutdown, lost connections, no resources. Locks and deadlocks keep their codes: who waits for a lock looks for them.
  if (error instanceof pg.DatabaseError) return /^(08|53|57|58)/.test(error.code ?? '') ? asRefusal(error) : error;
  return isLost(error) ? asRefusal(new UnknownOutcome('the database did not answer', error)) : error;
}

/** What pg says of a connection that broke or a time that was up: Node's errors, and its own without a class or a code. */
function isLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ('code' in error && typeof error.code === 'string' && /^E[A-Z]{3,}/.test(error.code)) return true;
  return /^(Connection (terminated|ended)|Client (has encountered|was closed)|Query read timeout|timeout exceeded)/.test(
    error.message,
  );
}
