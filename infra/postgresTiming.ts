/** How long each statement takes; those that take too long are counted and logged, without their values. */
import type pg from 'pg';
import type { Log, Telemetry } from '../domain/telemetry.ts';

/** So much of a slow statement's text goes to the log. */
const TEXT_CHARS = 200;

export interface QueryWatch {
  /** From here on a statement is slow. */
  readonly slowMs: number;
  readonly telemetry: Telemetry;
  readonly log: Log;
}

/** Times every statement of a pool, on whatever way it is sent; costs some 5 µs each. */
export function watchQueries(pool: pg.Pool, watch: QueryWatch): void {
  pool.on('connect', (client) => {
    const send: unknown = client.query.bind(client);
    if (typeof send !== 'function') return;
    const timed = (...given: unknown[]): unknown => {
      const startedMs = performance.now();
      const ended = (): void => note(given[0], performance.now() - startedMs, watch);
      const callback = given.at(-1);
      if (typeof callback === 'function')
        given[given.length - 1] = (...outcome: unknown[]): void => {
          ended();
          Reflect.apply(callback, undefined, outcome);
        };
      const result: unknown = Reflect.apply(send, undefined, given);
      if (result instanceof Promise) result.then(ended, ended);
      return result;
    };
    Reflect.set(client, 'query', timed);
  });
}

function note(query: unknown, ms: number, { slowMs, telemetry, log }: QueryWatch): void {
  telemetry.observe('db_query_duration_seconds', ms / 1000);
  if (ms < slowMs) return;
  telemetry.count('db_slow_queries_total');
  log.warn({ statement: textOf(query), ms: Math.round(ms) }, 'a statement was slow');
}

function textOf(query: unknown): string {
  const text: unknown = typeof query === 'object' && query !== null ? Reflect.get(query, 'text') : query;
  return String(text).replaceAll(/\s+/g, ' ').trim().slice(0, TEXT_CHARS);
}
