/** Rebuilds and comparisons of vectors in this process, as the service carries them out. */
import { randomUUID } from 'node:crypto';
import type { Diff } from '../../projections/diff.ts';
import { embeddings } from '../../projections/embeddings.ts';
import type { Rebuilt } from '../../projections/rebuild/rebuild.ts';
import { claimBuild, claimPrevious, failClaim, releaseClaim, type Claim } from '../../projections/rebuild/version.ts';
import type { MeaningParts } from '../../projections/vectors/versions.ts';
import { carryOutTask } from '../../scripts/rebuildTask.ts';
import type { World } from './embeddingsForTests.ts';

export interface VectorTaskOptions {
  readonly kind?: Claim['kind'];
  readonly fast?: boolean;
  readonly meaning?: MeaningParts;
  readonly signal?: AbortSignal;
  readonly report?: (done: number) => void;
}

const contextOf = ({ database, store, meaning }: World, options: VectorTaskOptions) => ({
  ...{ database, store, ownLog: true },
  meaning: { ...(options.meaning ?? meaning), close: () => Promise.resolve() },
  signal: options.signal ?? new AbortController().signal,
  report: ({ done }: { done: number }) => options.report?.(done),
});

/** Claims a version of the vectors and builds it (or goes back to the previous one). */
export async function rebuildVectors(world: World, options: VectorTaskOptions = {}): Promise<Rebuilt> {
  const { knex } = world.database;
  const { kind = 'rebuild', fast = true } = options;
  const builder = randomUUID();
  const claim = await (kind === 'rollback' ? claimPrevious : claimBuild)(knex, embeddings, { builder, fast });
  const task = { kind, name: embeddings.name, fast, version: claim.version, builder };
  try {
    return (await carryOutTask(task, contextOf(world, options))) as Rebuilt;
  } catch (error) {
    if (options.signal?.aborted === true) await releaseClaim(knex, claim, false);
    else await failClaim(knex, claim, error instanceof Error ? error.message : String(error));
    throw error;
  }
}

/** Compares the vectors with the log, and mends them when told. */
export async function diffVectorsNow(world: World, repair = false): Promise<Diff> {
  return (await carryOutTask(
    { kind: 'diff', name: embeddings.name, fast: true, repair },
    contextOf(world, {}),
  )) as Diff;
}
