import type { Health } from '../api/systemRoutes.ts';
import type { Log } from '../domain/telemetry.ts';
import type { RunningEngine } from './engine.ts';

/** A check that takes longer than this has failed. */
const CHECK_MS = 1_500;

/**
 * Ready while the log and the read models' database answer, once these have caught up after the start; what only
 * degrades is reported beside them.
 * @param degraded by name, whether what the service can do without for a while is there (the bus, models).
 */
export function healthOf(
  { storage, upToDate }: Pick<RunningEngine, 'storage' | 'upToDate'>,
  stopping: { readonly now: boolean },
  degraded: Readonly<Record<string, () => boolean>> = {},
): Health {
  const { store, database } = storage;
  return {
    live: () => !stopping.now,
    async ready() {
      const [log, readModels] = await Promise.all([answers(store.head()), answers(database.pool.query('select 1'))]);
      const caughtUp = upToDate();
      const others = Object.fromEntries(
        Object.entries(degraded).map(([name, there]) => [name, check(there(), 'is out of reach')] as const),
      );
      return {
        ready: log && readModels && caughtUp && !stopping.now,
        checks: {
          log: check(log, 'the log does not answer'),
          readModels: check(
            readModels && caughtUp,
            readModels ? 'they are being built from the log' : 'the database of the read models does not answer',
          ),
          service: check(!stopping.now, 'it is stopping'),
          ...others,
        },
      };
    },
  };
}

/** Tells the log when the process becomes ready, or is not any more: probes ask every few seconds. */
export function tellChanges(health: Health, log: Pick<Log, 'info' | 'warn'>): Health {
  let before: boolean | null = null;
  return {
    ...health,
    async ready() {
      const answer = await health.ready();
      const { ready, checks } = answer;
      const failing = Object.entries(checks).filter(([, { ok }]) => !ok);
      if (ready && before === false) log.info({}, 'the process is ready');
      if (!ready && before !== false)
        log.warn({ checks: Object.fromEntries(failing.map(([name, { detail }]) => [name, detail])) }, 'not ready');
      before = ready;
      return answer;
    },
  };
}

function check(ok: boolean, detail: string): { ok: boolean; detail?: string } {
  return ok ? { ok } : { ok, detail };
}

async function answers(work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), CHECK_MS)));
  const done = work.then(
    () => true,
    () => false,
  );
  return Promise.race([done, late]).finally(() => clearTimeout(timer));
}
