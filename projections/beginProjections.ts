import type { Knex } from 'knex';
import type { Clock, EventStore } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { checkLineage, ensureVersions, loadMembers, type Member } from './checkpoints.ts';
import { watchCheckpoints, type CheckpointWatch } from './checkpointWatch.ts';
import { backOffMs } from './persist.ts';
import type { Projection } from './projection.ts';

export interface BeginOptions {
  readonly knex: Knex;
  readonly store: EventStore;
  readonly clock: Clock;
  readonly projections: readonly Projection[];
  readonly signal: AbortSignal;
  /** Something failed and is tried again. */
  readonly onFault?: (error: unknown) => void;
}

/**
 * Sees to it that the tables are there and belong to this log; waits for a database that is down. Null when the signal
 * aborted first.
 * @throws Refusal('internal') when the log is not the one that the read models were built from.
 */
export async function beginProjections(options: BeginOptions): Promise<Member[] | null> {
  const { knex, store, clock, projections, signal, onFault } = options;
  for (let failures = 0; !signal.aborted; failures += 1)
    try {
      await ensureVersions(knex, projections);
      const members = await loadMembers(knex, projections);
      await checkLineage(store, members);
      return members;
    } catch (error) {
      if (error instanceof Refusal && !error.retryable) throw error;
      onFault?.(error);
      await clock.sleep(backOffMs(failures), signal);
    }
  return null;
}

/**
 * For a process that only reads what others project: waits for their checkpoints.
 * @throws Refusal('internal') as `beginProjections`.
 */
export async function watchProjections(
  options: BeginOptions & { readonly watched?: readonly Projection[] },
): Promise<Pick<CheckpointWatch, 'waitFor'>> {
  await beginProjections(options);
  return watchCheckpoints(options.knex, options.clock, [...options.projections, ...(options.watched ?? [])]);
}
