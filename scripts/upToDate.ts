/** Whether the read models of a start have caught up with the log as it was then. */
import type { Knex } from 'knex';
import { projectionQueries } from '../projections/projectionQueries.ts';
import { readModels } from '../projections/readModels.ts';
import type { ApiReads } from './reads.ts';

/** How long a start waits for the read models before old claims are looked for in them. */
export const READY_MS = 60_000;

/** Asks until the read models have reached the position; until then this process has nothing to show. */
export function watchStart(knex: Knex, waitFor: ApiReads['waitFor'], head: bigint, signal: AbortSignal): () => boolean {
  let reached = head === 0n;
  const ask = async () => {
    while (!reached && !signal.aborted) {
      const names = await goingOn(knex);
      reached = await waitFor(head, names, { timeoutMs: READY_MS, signal });
    }
  };
  void ask();
  return () => reached;
}

/** Who has paused a read model knows that it is behind: a start does not wait for it. */
export async function goingOn(knex: Knex): Promise<string[]> {
  const versions = await projectionQueries(knex)
    .list()
    .catch(() => []);
  const paused = new Set(versions.filter((each) => each.status === 'live' && each.paused).map(({ name }) => name));
  return readModels.map(({ name }) => name).filter((name) => !paused.has(name));
}
