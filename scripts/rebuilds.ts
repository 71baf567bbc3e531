/** What operators do with read models, put together for a process of the service. */
import type { Operations } from '../api/operations.ts';
import { createProjectionControl, type ProjectionControl } from '../api/projectionControl.ts';
import type { RunTask } from '../api/rebuildOperations.ts';
import type { Log } from '../domain/telemetry.ts';
import type { Settings } from '../infra/config.ts';
import { systemClock, systemIds } from '../infra/system.ts';
import { projectionLag } from '../projections/lag.ts';
import { projectionQueries } from '../projections/projectionQueries.ts';
import { allProjections } from '../projections/allProjections.ts';
import { embeddings } from '../projections/embeddings.ts';
import { liveIndex } from '../projections/vectors/indexes.ts';
import { differsFrom } from '../projections/vectors/versions.ts';
import { carryOutTask, type RebuildTask } from './rebuildTask.ts';
import { runInThread } from './rebuildThread.ts';
import type { Meaning } from './meaning.ts';
import type { Storage } from './storage.ts';

/** Goes on with rebuilds that lost their process, until `stop`. */
export function openRebuilds(
  settings: Settings,
  storage: Storage,
  operations: Operations,
  { log, meaning }: { readonly log: Log; readonly meaning: Meaning },
): { readonly control: ProjectionControl; readonly stop: () => void } {
  const { database, store } = storage;
  const gapless = settings.EVENTSTORE_URL === undefined;
  const control = createProjectionControl({
    queries: projectionQueries(database.knex),
    store,
    clock: systemClock,
    ids: systemIds,
    projections: allProjections,
    operations,
    run: runner(settings, storage, gapless, meaning),
    lag: () => projectionLag({ knex: database.knex, store, clock: systemClock, projections: allProjections, gapless }),
    async differs({ name }) {
      const live = name === embeddings.name ? await liveIndex(database.knex) : null;
      return live && differsFrom(live, meaning);
    },
    gapless,
    onFault: (error) => log.warn({ err: error }, 'a rebuild had trouble'),
  });
  const stopping = new AbortController();
  void control.watchLost(stopping.signal);
  return { control, stop: () => stopping.abort() };
}

function runner(
  settings: Settings,
  { database, store, embedded }: Storage,
  ownLog: boolean,
  meaning: Meaning,
): RunTask {
  return async ({ kind, name, fast, repair = false, claim, thread }, signal, report) => {
    const task: RebuildTask =
      kind === 'diff' || claim === null
        ? { kind: 'diff', name, fast, repair }
        : { kind, name, fast, version: claim.version, builder: claim.builder };
    if (thread) return runInThread({ settings, embedded: embedded?.connection ?? null, task }, signal, report);
    return carryOutTask(task, { database, store, ownLog, meaning, signal, report });
  };
}
