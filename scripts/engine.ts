/** Everything below the API in one process: log, read models, bus, workers. */
import type { ApiContext } from '../api/context.ts';
import type { Engine } from '../commands/engine.ts';
import { createStateCache } from '../commands/states.ts';
import { createTurnstile } from '../commands/turnstile.ts';
import type { Bus } from '../domain/ports.ts';
import type { Log, Telemetry } from '../domain/telemetry.ts';
import { createCasbinAuthorizer } from '../infra/casbinAuthorizer.ts';
import type { Settings } from '../infra/config.ts';
import { createMemoryBus } from '../infra/memoryBus.ts';
import { createPostgresLeases } from '../infra/postgresLeases.ts';
import { createPostgresSnapshots } from '../infra/postgresSnapshots.ts';
import { systemClock, systemIds } from '../infra/system.ts';
import { agentQueries } from '../projections/agents.ts';

import { commandQueries } from '../projections/commands.ts';
import { discussionQueries } from '../projections/discussions.ts';
import { messageQueries } from '../projections/messages.ts';
import { projectionQueries } from '../projections/projectionQueries.ts';
import { readModels } from '../projections/readModels.ts';
import { runProjections } from '../projections/run.ts';
import { turnQueries } from '../projections/turnQueries.ts';
import { usageQueries } from '../projections/usage.ts';
import { startWorkers, type Workers } from '../workers/start.ts';
import { defaultWorkerSettings, type WorkerSettings } from '../workers/worker.ts';
import { openModels, type Models } from './models.ts';
import { openStorage, type Storage } from './storage.ts';

export interface RunningEngine {
  readonly engine: Engine;
  readonly bus: Bus;
  readonly storage: Storage;
  readonly models: Models;
  readonly workers: Workers;
  readonly reads: Pick<
    ApiContext,
    'agents' | 'discussions' | 'messages' | 'turns' | 'usage' | 'projections' | 'waitFor'
  >;
  /** Closes read models and log; stop the workers before. */
  stop(): Promise<void>;
}

/** What a composition root may replace: tests and benchmarks bring their own models. */
export interface EngineOptions {
  readonly models?: Models;
  readonly workers?: Partial<WorkerSettings>;
  /** Opened already, to save time at the start. */
  readonly storage?: Promise<Storage>;
}

/** How long a start waits for the read models before old claims are looked for in them. */
const READY_MS = 60_000;

/** Opens the storage and starts read models and workers. */
export async function startEngine(
  settings: Settings,
  log: Log,
  telemetry: Telemetry,
  options: EngineOptions = {},
): Promise<RunningEngine> {
  const storage = await (options.storage ?? openStorage(settings, log));
  const { store } = storage;
  const { knex, pool } = storage.database;
  const models = options.models ?? openModels(settings);
  const following = new AbortController();
  try {
    const projections = await runProjections({
      knex,
      store,
      clock: systemClock,
      projections: readModels,
      signal: following.signal,
      onFault: (error) => log.warn({ err: error }, 'the read models had trouble: trying again'),
    });
    const engine = await createEngine(storage);
    const bus = createMemoryBus();
    const reads = openReads(storage, projections.waitFor);
    const hurry = new AbortController();
    const head = await store.head();
    const names = readModels.map(({ name }) => name);
    const workers = await startWorkers(
      {
        engine,
        bus,
        leases: createPostgresLeases({ pool }),
        models: models.providers,
        turns: reads.turns,
        discussions: reads.discussions,
        // Only one process can hold the data folder's lock, so there its worker may have a fixed name.
        worker: settings.WORKER_ID ?? (storage.embedded === null ? `worker-${systemIds.nonce()}` : 'embedded'),
        incarnation: systemIds.nonce(),
        settings: workerSettings(settings, options.workers),
        stopping: hurry.signal,
        telemetry,
        log,
      },
      () => projections.waitFor(head, names, { timeoutMs: READY_MS, signal: following.signal }),
    );
    const stop = async () => {
      hurry.abort();
      following.abort();
      await projections.finished;
      models.close();
      await storage.close();
    };
    return { engine, bus, storage, models, workers, reads, stop };
  } catch (error) {
    following.abort();
    await storage.close();
    throw error;
  }
}

async function createEngine({ store, database }: Storage): Promise<Engine> {
  const commands = commandQueries(database.knex);
  return {
    store,
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

function openReads({ database: { knex } }: Storage, waitFor: ApiContext['waitFor']): RunningEngine['reads'] {
  return {
    agents: agentQueries(knex),
    discussions: discussionQueries(knex),
    messages: messageQueries(knex),
    turns: turnQueries(knex),
    usage: usageQueries(knex),
    projections: () => projectionQueries(knex).list(),
    waitFor,
  };
}

function workerSettings(settings: Settings, more: Partial<WorkerSettings> = {}): WorkerSettings {
  const deadlines = {
    firstByteMs: settings.MODEL_FIRST_BYTE_SECONDS * 1000,
    chunkMs: settings.MODEL_CHUNK_SECONDS * 1000,
    totalMs: settings.MODEL_TOTAL_SECONDS * 1000,
  };
  return { ...defaultWorkerSettings, concurrency: settings.WORKER_CONCURRENCY, deadlines, ...more };
}
