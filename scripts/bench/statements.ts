/** Counts the statements that reach the database, whoever sends them: the log, the workers, the read models. */
import type pg from 'pg';

export interface StatementCount {
  /** Of the log and the workers. */
  engine: number;
  /** Of the read models' runner. */
  projections: number;
  /** What the engine sent, by the statement's first words. */
  readonly kinds: Map<string, number>;
  /** When the last `log_append` was answered, in nanoseconds of a clock that processes share. */
  lastAppendAt: bigint;
  reset(): void;
}

/** Statements of the runner of read models: its write, the rows and checkpoints it reads. */
const PROJECTIONS = /^with given as|_v\d+ where .* = any|from projections|from dead_letters/;

/** Counts on every connection of the pool from its next use on. */
export function countStatements(pool: pg.Pool): StatementCount {
  const count: StatementCount = {
    engine: 0,
    projections: 0,
    kinds: new Map(),
    lastAppendAt: 0n,
    reset() {
      count.engine = 0;
      count.projections = 0;
      count.kinds.clear();
    },
  };
  const seen = new WeakSet<pg.PoolClient>();
  pool.on('acquire', (client) => {
    if (seen.has(client)) return;
    seen.add(client);
    const send: unknown = Reflect.get(client, 'query');
    if (typeof send !== 'function') return;
    const counted = (...args: unknown[]): unknown => {
      const isAppend = note(count, textOf(args[0]));
      const answer: unknown = Reflect.apply(send, client, args);
      if (isAppend && answer instanceof Promise)
        answer.then(
          () => (count.lastAppendAt = process.hrtime.bigint()),
          () => undefined,
        );
      return answer;
    };
    Object.assign(client, { query: counted });
  });
  return count;
}

function textOf(query: unknown): string {
  if (typeof query === 'string') return query;
  return typeof query === 'object' && query !== null && 'text' in query ? String(query.text) : '';
}

function note(count: StatementCount, text: string): boolean {
  const ofProjections = PROJECTIONS.test(text);
  if (ofProjections) count.projections += 1;
  else count.engine += 1;
  const kind =
    (ofProjections ? `read models: ${/ from \w+_v\d+/.exec(text)?.[0] ?? ''}` : '') +
    text.trim().slice(0, 40).replaceAll(/\s+/g, ' ');
  count.kinds.set(kind, (count.kinds.get(kind) ?? 0) + 1);
  return text.includes('from log_append(');
}
