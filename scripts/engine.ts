/** Everything below the API: log, read models, bus, workers; which of them run in this process is the mode's to say. */
import type { Engine } from '../commands/engine.ts';
import { createStateCache } from '../commands/states.ts';
import { createTurnstile } from '../commands/turnstile.ts';
import type { Announcements, Bus } from '../domain/ports.ts';
import type { Log } from '../domain/telemetry.ts';
import type { Tracer } from '../domain/tracing.ts';
import { createCasbinAuthorizer } from '../infra/casbinAuthorizer.ts';
import type { Settings } from '../infra/config.ts';
import { createPostgresLeases } from '../infra/postgresLeases.ts';
import { createPostgresSlots } from '../infra/postgresSlots.ts';
import { createPostgresSnapshots } from '../infra/postgresSnapshots.ts';
import type { Prometheus } from '../infra/prometheus.ts';
import { systemClock, systemIds } from '../infra/system.ts';
import { allProjections } from '../projections/allProjections.ts';
import { watchProjections } from '../projections/beginProjections.ts';
import { watchCheckpoints } from '../projections/checkpointWatch.ts';
import { commandQueries } from '../projections/commands.ts';
import { discussionQueries } from '../projections/discussions.ts';
import { embeddings } from '../projections/embeddings.ts';
import type { PassageSearch } from '../projections/search/passageSearch.ts';
import { readModels } from '../projections/readModels.ts';
import { runProjections, type ProjectionRunner } from '../projections/run.ts';
import { turnQueries } from '../projections/turnQueries.ts';
import { startWorkers, type Workers } from '../workers/start.ts';
import { defaultWorkerSettings, workerRoles, type WorkerRole, type WorkerSettings } from '../workers/worker.ts';
import { openBus, type OpenBus } from './bus.ts';
import { sampleDeadLetters, sampleLag, sampleOpenTurns, samplePool } from './measured.ts';
import { embedHere, openMeaning, type Meaning } from './meaning.ts';
import { openModels, type Models } from './models.ts';
import type { Role } from './modes.ts';
import { openReads, type ApiReads } from './reads.ts';
import { openStorage, type Storage } from './storage.ts';
import { goingOn, READY_MS, watchStart } from './upToDate.ts';
import { openTelemetry } from './telemetry.ts';
import { observeLog, type ObservedLog } from './tracedLog.ts';

export interface RunningEngine {
  readonly engine: Engine;
  readonly bus: Bus;
  /** Whether the other processes can be reached. */
  readonly connected: () => boolean;
  /** Whether the read models have shown the log as it was at the start, once: a new program's may be built just now. */
  readonly upToDate: () => boolean;
  readonly storage: Storage;
  readonly models: Models;
  readonly workers: Workers;
  readonly reads: ApiReads;
  readonly meaning: Meaning;
  /** Closes read models, bus and log; stop the workers before. */
  stop(): Promise<void>;
}

/** What a composition root may replace: tests and benchmarks bring their own models. */
export interface EngineOptions {
  readonly models?: Models;
  readonly workers?: Partial<WorkerSettings>;
  /** Opened already, to save time at the start. */
  readonly storage?: Promise<Storage>;
  /** What runs in this process; all of it unless said. */
  readonly roles?: ReadonlySet<Role>;
  /** Read models are neither built nor looked at: they may belong to what the log was before somebody changed it. */
  readonly logAlone?: boolean;
}

const ALL_ROLES: ReadonlySet<Role> = new Set(['projector', 'relay', 'sweeper', 'turns', 'embedder']);

/** Opens the storage and starts what the roles say. @throws Refusal when something cannot be used. */
export async function startEngine(
  settings: Settings,
  log: Log,
  prometheus: Prometheus,
  options: EngineOptions = {},
): Promise<RunningEngine> {
  const roles = options.roles ?? ALL_ROLES;
  const { telemetry } = prometheus;
  const exported = await openTelemetry(settings, prometheus, log);
  const storage = await (options.storage ?? openStorage(settings, log, telemetry));
  const models = options.models ?? openModels(settings);
  const following = new AbortController();
  let opened: OpenBus | null = null;
  try {
    const observed = observeLog(storage.store, telemetry, exported.tracer);
    const shared = { roles, storage, log, signal: following.signal };
    const projections = await openProjections(shared, observed, options.logAlone ?? false);
    sampleAll(prometheus, storage, settings);
    const lineage = await storage.store.lineage();
    opened = await openBus(settings, lineage, log);
    const meaning = openMeaning(settings, storage.database, lineage);
    const { bus, announcements, connected } = opened;
    const engine = await createEngine({ database: storage.database, store: observed.live, tracer: exported.tracer });
    const to = { log, prometheus, meaning };
    const { reads, close: closeReads } = openReads(settings, storage, projections.waitFor, to);
    const hurry = new AbortController();
    const ctx = {
      engine,
      bus,
      models: models.providers,
      ...workerParts(settings, storage),
      recall: semanticSearch(reads),
      settings: workerSettings(settings, options.workers),
      stopping: hurry.signal,
      telemetry,
      log,
    };
    const workers = await startRoles({ ...shared, ctx, waitFor: projections.waitFor });
    const besides = [announce({ ...shared, announcements }), embedHere({ ...shared, meaning })];
    const upToDate = watchStart(storage.database.knex, reads.waitFor, await storage.store.head(), following.signal);
    const close = opened.close;
    const stop = async () => {
      hurry.abort();
      following.abort();
      await Promise.allSettled([projections.finished, ...besides]);
      models.close();
      await Promise.all([meaning.close(), close(), closeReads()]);
      await storage.close();
      await exported.close();
    };
    return { engine, bus, connected, upToDate, storage, models, workers, reads, meaning, stop };
  } catch (error) {
    following.abort();
    await opened?.close();
    await storage.close();
    await exported.close();
    throw error;
  }
}

async function openProjections(
  { roles, storage, log, signal }: Shared,
  { projected, applied: onApplied }: ObservedLog,
  logAlone: boolean,
): Promise<ProjectionRunner> {
  const options = {
    knex: storage.database.knex,
    store: projected,
    clock: systemClock,
    projections: readModels,
    watched: [embeddings],
    signal,
    onApplied,
    onFault: (error: unknown) => log.warn({ err: error }, 'the read models had trouble: trying again'),
  };
  if (roles.has('projector')) return runProjections(options);
  const { knex, clock, projections, watched } = options;
  const watch = logAlone
    ? watchCheckpoints(knex, clock, [...projections, ...watched])
    : await watchProjections(options);
  return { ...watch, finished: Promise.resolve() };
}

/** What all work beside requests is given. */
interface Shared {
  readonly roles: ReadonlySet<Role>;
  readonly storage: Storage;
  readonly log: Log;
  readonly signal: AbortSignal;
}

async function announce({
  roles,
  storage,
  announcements,
  log,
  signal,
}: Shared & { readonly announcements: Announcements | null }): Promise<void> {
  if (announcements === null || !roles.has('relay')) return;
  const { runAnnouncer } = await import('../workers/announce.ts');
  await runAnnouncer({ store: storage.store, announcements, clock: systemClock, ids: systemIds, log }, signal);
}

interface RolesToStart extends Shared {
  readonly ctx: Parameters<typeof startWorkers>[0];
  readonly waitFor: ProjectionRunner['waitFor'];
}

async function startRoles({ ctx, storage, roles, waitFor, signal }: RolesToStart): Promise<Workers> {
  const own = new Set([...roles].filter((role): role is WorkerRole => (workerRoles as readonly Role[]).includes(role)));
  if (own.size === 0) return { stop: () => Promise.resolve() };
  const head = await ctx.engine.store.head();
  const ready = async () => waitFor(head, await goingOn(storage.database.knex), { timeoutMs: READY_MS, signal });
  return startWorkers(ctx, ready, own);
}

async function createEngine({
  store,
  database,
  tracer,
}: Pick<Storage, 'store' | 'database'> & { tracer: Tracer }): Promise<Engine> {
  const commands = commandQueries(database.knex);
  return {
    store,
    tracer,
    clock: systemClock,
    ids: systemIds,
    authorizer: await createCasbinAuthorizer(),
    snapshots: createPostgresSnapshots({ pool: database.pool }),
    states: createStateCache(),
    turnstile: createTurnstile(),
    async findCommand(commandId) {
      const { row, checkpoint } = await commands.find(commandId);
      return { found: row, checkpoint };
    },
  };
}

function sampleAll(prometheus: Prometheus, { database, store }: Storage, settings: Settings): void {
  samplePool(prometheus, 'primary', database);
  sampleOpenTurns(prometheus, database, systemClock);
  sampleDeadLetters(prometheus, database);
  const gapless = settings.EVENTSTORE_URL === undefined;
  sampleLag(prometheus, { knex: database.knex, store, clock: systemClock, projections: allProjections, gapless });
}

/** What agents' memories ask. */
function semanticSearch({ search }: ApiReads): PassageSearch['semantic'] {
  return (wanted, options) => search.semantic(wanted, options);
}

/** What workers need of the database, and who they are. */
function workerParts(settings: Settings, storage: Storage) {
  const { knex, pool } = storage.database;
  return {
    leases: createPostgresLeases({ pool }),
    slots: createPostgresSlots({ pool }),
    turns: turnQueries(knex),
    discussions: discussionQueries(knex),
    worker: workerName(settings, storage),
    incarnation: systemIds.nonce(),
  };
}

/** Only one process can hold the data folder's lock, so there its worker may have a fixed name. */
function workerName({ WORKER_ID }: Settings, { embedded }: Storage): string {
  return WORKER_ID ?? (embedded === null ? `worker-${systemIds.nonce()}` : 'embedded');
}

function workerSettings(settings: Settings, more: Partial<WorkerSettings> = {}): WorkerSettings {
  const deadlines = {
    firstByteMs: settings.MODEL_FIRST_BYTE_SECONDS * 1000,
    chunkMs: settings.MODEL_CHUNK_SECONDS * 1000,
    totalMs: settings.MODEL_TOTAL_SECONDS * 1000,
  };
  const { WORKER_CONCURRENCY: concurrency, MODEL_LIMITS: limits } = settings;
  return { ...defaultWorkerSettings, concurrency, limits, deadlines, ...more };
}
