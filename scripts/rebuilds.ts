/** What operators do with read models, put together for a process of the service. */
import type { Operations } from '../api/operations.ts';
import { createProjectionControl, type ProjectionControl } from '../api/projectionControl.ts';
import type { RunTask } from '../api/rebuildOperations.ts';
import type { Log } from '../domain/telemetry.ts';
import type { Settings } from '../infra/config.ts';
import { systemClock, systemIds } from '../infra/system.ts';
import { projectionLag } from '../projections/lag.ts';
import { projectionQueries } from '../projections/projectionQueries.ts';
import { readModels } from '../projections/readModels.ts';
import { carryOutTask, type RebuildTask } from './rebuildTask.ts';
import { runInThread } from './rebuildThread.ts';
import type { Storage } from './storage.ts';

/** Goes on with rebuilds that lost their process, until `stop`. */
export function openRebuilds(
  settings: Settings,
  storage: Storage,
  operations: Operations,
  log: Log,
): { readonly control: ProjectionControl; readonly stop: () => void } {
  const { database, store } = storage;
  const gapless = settings.EVENTSTORE_URL === undefined;
  const control = createProjectionControl({
    queries: projectionQueries(database.knex),
    store,
    clock: systemClock,
    ids: systemIds,
    projections: readModels,
    operations,
    run: runner(settings, storage, gapless),
    lag: () => projectionLag({ knex: database.knex, store, clock: systemClock, projections: readModels, gapless }),
    gapless,
    onFault: (error) => log.warn({ err: error }, 'a rebuild had trouble'),
  });
  const stopping = new AbortController();
  void control.watchLost(stopping.signal);
  return { control, stop: () => stopping.abort() };
}

function runner(settings: Settings, { database, store, embedded }: Storage, ownLog: boolean): RunTask {
  return async ({ kind, name, fast, claim, thread }, signal, report) => {
    const task: RebuildTask =
      kind === 'diff' || claim === null
        ? { kind: 'diff', name, fast }
        : { kind, name, fast, version: claim.version, builder: claim.builder };
    if (thread) return runInThread({ settings, embedded: embedded?.connection ?? null, task }, signal, report);
    return carryOutTask(task, { database, store, ownLog, signal, report });
  };
}
