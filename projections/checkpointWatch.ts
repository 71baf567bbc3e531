import type { Knex } from 'knex';
import type { Clock } from '../domain/ports.ts';
import type { Projection } from './projection.ts';

/** How often a process without news of its own looks at the checkpoints, however many wait. */
const POLL_MS = 25;
const QUERY_MS = 5_000;

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** Waits for read models to reach a position, for readers who bring a Consistency-Token. */
export interface CheckpointWatch {
  /** Whether every named read model reached the position in time; false as well when the signal aborts. */
  waitFor(position: bigint, names: readonly string[], options: WaitOptions): Promise<boolean>;
  /** News from the runner of this process. */
  seen(name: string, position: bigint): void;
}

interface Waiter {
  readonly position: bigint;
  readonly names: readonly string[];
  readonly done: (reached: boolean) => void;
}

type Watched = readonly Pick<Projection, 'name' | 'schemaVersion'>[];

/**
 * Watches the live versions' checkpoints. A runner in the same process tells it at once; while somebody waits for another
 * process's runner, one query per 25 ms serves all who wait.
 * @param projections that this program reads.
 */
export function watchCheckpoints(knex: Knex, clock: Clock, projections: Watched): CheckpointWatch {
  const positions = new Map<string, bigint>();
  const waiters = new Set<Waiter>();
  let polling = false;
  let fed = false;

  const reached = ({ position, names }: Pick<Waiter, 'position' | 'names'>): boolean =>
    names.every((name) => (positions.get(name) ?? -1n) >= position);

  // Also backwards: after a backup was restored, what was seen before would promise too much.
  const note = (name: string, position: bigint): void => {
    positions.set(name, position);
    for (const waiter of waiters) if (reached(waiter)) waiter.done(true);
  };

  const poll = async (): Promise<void> => {
    if (polling) return;
    polling = true;
    // A runner in this process is nearly always faster than a query.
    if (fed) await clock.sleep(POLL_MS);
    while (waiters.size > 0) {
      // Who waits learns of a failure by the time-out; the next look may succeed.
      const checkpoints = await readCheckpoints(knex, projections).catch(() => []);
      for (const { name, position } of checkpoints) note(name, position);
      if (waiters.size > 0) await clock.sleep(POLL_MS);
    }
    polling = false;
  };

  return {
    seen(name, position) {
      fed = true;
      note(name, position);
    },
    async waitFor(position, names, { timeoutMs, signal }) {
      if (reached({ position, names })) return true;
      const over = new AbortController();
      const outcome = new Promise<boolean>((done) => {
        const waiter: Waiter = { position, names, done };
        waiters.add(waiter);
        over.signal.addEventListener('abort', () => waiters.delete(waiter), { once: true });
        const until = signal ? AbortSignal.any([signal, over.signal]) : over.signal;
        void clock.sleep(timeoutMs, until).then(() => done(false));
      });
      void poll();
      return outcome.finally(() => over.abort('settled'));
    },
  };
}

/** Where the live version of each read model stands that this program can read. */
export async function readCheckpoints(knex: Knex, projections: Watched): Promise<{ name: string; position: bigint }[]> {
  const result = await knex
    .raw<{ rows: { name: string; schemaVersion: number; position: string }[] }>(
      `select name, schema_version as "schemaVersion", position::text as position from projections
       where status = 'live' and name = any(?::text[])`,
      [projections.map((each) => each.name)],
    )
    .timeout(QUERY_MS);
  return result.rows
    .filter((row) => projections.some((each) => each.name === row.name && each.schemaVersion === row.schemaVersion))
    .map(({ name, position }) => ({ name, position: BigInt(position) }));
}
