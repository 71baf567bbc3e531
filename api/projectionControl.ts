/** What operators do with read models: look, rebuild, compare, go back, pause. */
import type { Operation } from '../domain/operation.ts';
import { Refusal } from '../domain/refusal.ts';
import { embeddings } from '../projections/embeddings.ts';
import type { Projection } from '../projections/projection.ts';
import { planOf, viewsOf, type ProjectionView, type RebuildPlan } from './projectionViews.ts';
import { startRebuild, startRollback, told, type RebuildOptions, type RebuildRequest } from './rebuildOperations.ts';

export interface ProjectionControl {
  list(): Promise<ProjectionView[]>;
  /** @throws Refusal `not-found`. */
  get(name: string): Promise<ProjectionView>;
  plan(request: RebuildRequest): Promise<RebuildPlan[]>;
  /** @throws Refusal `not-found`, `conflict` when one of them is being rebuilt already. */
  rebuild(request: RebuildRequest): Promise<Operation>;
  rollback(name: string): Promise<Operation>;
  /** @throws Refusal `not-found`; `invalid` to repair what can only be built anew. */
  diff(name: string, options?: { readonly repair?: boolean }): Promise<Operation>;
  setPaused(name: string, paused: boolean): Promise<ProjectionView>;
  drop(name: string, version: number): Promise<ProjectionView>;
  /** Goes on with rebuilds whose process was lost, until the signal aborts. */
  watchLost(signal: AbortSignal): Promise<void>;
}

const LOOK_MS = 10_000;
/** Before the first look: a command of a second's life leaves rebuilds to the service. */
const FIRST_LOOK_MS = 3_000;

/** Reads and acts on the versions of the given projections. */
export function createProjectionControl(options: RebuildOptions): ProjectionControl {
  const { queries, clock, projections } = options;
  const known = (name: string): Projection => {
    const found = projections.find((each) => each.name === name);
    if (found === undefined) throw new Refusal('not-found', `there is no projection ${name}`);
    return found;
  };
  const list = () => viewsOf(options);
  const get = async (name: string): Promise<ProjectionView> => {
    known(name);
    const found = (await list()).find((each) => each.name === name);
    if (found === undefined) throw new Refusal('not-found', `there is no projection ${name}`);
    return found;
  };
  const rebuild = (request: RebuildRequest) => startRebuild(options, [...new Set(request.names)].map(known), request);
  return {
    list,
    get,
    rebuild,
    async plan({ names, fast }) {
      const views = await list();
      return [...new Set(names)].map((name) =>
        planOf(
          views.find((each) => each.name === known(name).name),
          fast,
        ),
      );
    },
    rollback: (name) => startRollback(options, known(name)),
    diff(name, { repair = false } = {}) {
      if (repair && known(name) !== embeddings)
        throw new Refusal('invalid', `only ${embeddings.name} can be repaired: rebuild ${name} instead`);
      known(name);
      const task = { kind: 'diff', name, fast: false, repair, claim: null, thread: true } as const;
      return options.operations.start('projection-diff', (report, signal) => options.run(task, signal, told(report)));
    },
    async setPaused(name, paused) {
      await queries.setPaused(known(name), paused);
      return get(name);
    },
    async drop(name, version) {
      await queries.drop(known(name), version);
      return get(name);
    },
    async watchLost(signal) {
      for (let waitMs = FIRST_LOOK_MS; !signal.aborted; waitMs = LOOK_MS) {
        await clock.sleep(waitMs, signal);
        if (signal.aborted) return;
        await resumeLost(options, rebuild).catch(options.onFault);
      }
    },
  };
}

async function resumeLost(
  { queries, projections }: RebuildOptions,
  rebuild: (request: RebuildRequest) => Promise<Operation>,
): Promise<void> {
  const lost = (await queries.list()).filter(
    ({ name, schemaVersion, status, wanted, busy }) =>
      status === 'building' &&
      wanted &&
      !busy &&
      projections.some((each) => each.name === name && each.schemaVersion === schemaVersion),
  );
  for (const fast of [true, false]) {
    const names = lost.filter((each) => each.fast === fast).map(({ name }) => name);
    // Another process may have been faster.
    if (names.length > 0)
      await rebuild({ names, fast, maxConcurrent: 1 }).catch((error: unknown) => {
        if (!(error instanceof Refusal) || error.code !== 'conflict') throw error;
      });
  }
}
