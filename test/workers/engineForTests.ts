/** The whole engine below the API in this process, on a real PostgreSQL, with scripted models and faults. */
import { randomUUID } from 'node:crypto';
import type { Engine } from '../../commands/engine.ts';
import { createStateCache } from '../../commands/states.ts';
import { createTurnstile } from '../../commands/turnstile.ts';
import { createCodec } from '../../domain/codec.ts';
import type { Bus, EventStore, LanguageModel, Leases, Slots } from '../../domain/ports.ts';
import { Refusal, UnknownOutcome } from '../../domain/refusal.ts';
import type { Log, MetricName, Telemetry } from '../../domain/telemetry.ts';
import { createCasbinAuthorizer } from '../../infra/casbinAuthorizer.ts';
import { openDatabase, type Database } from '../../infra/database.ts';
import { createMemoryBus } from '../../infra/memoryBus.ts';
import { migrate } from '../../infra/migrate.ts';
import { createPostgresEventStore } from '../../infra/postgresEventStore.ts';
import { createPostgresLeases } from '../../infra/postgresLeases.ts';
import { createPostgresSlots } from '../../infra/postgresSlots.ts';
import { createPostgresSnapshots } from '../../infra/postgresSnapshots.ts';
import { identitySeal, systemClock, systemIds } from '../../infra/system.ts';
import { commandQueries } from '../../projections/commands.ts';
import { discussionQueries } from '../../projections/discussions.ts';
import { readModels } from '../../projections/readModels.ts';
import { runProjections } from '../../projections/run.ts';
import { turnQueries } from '../../projections/turnQueries.ts';
import { startWorkers } from '../../workers/start.ts';
import {
  defaultWorkerSettings,
  type WorkerContext,
  type WorkerRole,
  type WorkerSettings,
} from '../../workers/worker.ts';
import { createScriptedModel, type ScriptedModel } from './scriptedModel.ts';

/** Seconds become tenths: what takes 25 s in service is seen within two. */
const settings: WorkerSettings = {
  ...defaultWorkerSettings,
  leaseMs: 800,
  renewMs: 200,
  sweepMs: 250,
  retryMs: 20,
  deadlines: { firstByteMs: 5_000, chunkMs: 5_000, totalMs: 10_000 },
  drainMs: 300,
};

/** Switches that break what is around an engine while it runs. */
export interface Faults {
  /** The log takes nothing. */
  logAway: boolean;
  /** The log takes the next claim and is away before it has said so. */
  claimUnanswered: boolean;
  /** No sign of life reaches the database, and nothing is given back. */
  leasesAway: boolean;
  /** Nobody knows whether there are places. */
  slotsAway: boolean;
}

export interface TestEngineOptions {
  readonly models?: ScriptedModel;
  /** Providers beside `offline`. */
  readonly more?: ReadonlyMap<string, LanguageModel>;
  readonly worker?: string;
  readonly settings?: Partial<WorkerSettings>;
  readonly bus?: (bus: Bus) => Bus;
  readonly leases?: (leases: Leases) => Leases;
  readonly slots?: (slots: Slots) => Slots;
  readonly turns?: (turns: WorkerContext['turns']) => WorkerContext['turns'];
  readonly roles?: ReadonlySet<WorkerRole>;
  /** What agents with a memory ask. */
  readonly recall?: WorkerContext['recall'];
}

export interface TestEngine {
  readonly engine: Engine;
  readonly store: EventStore;
  readonly bus: Bus;
  readonly models: ScriptedModel;
  readonly turns: WorkerContext['turns'];
  readonly worker: string;
  readonly faults: Faults;
  /** Warnings and errors that were logged. */
  readonly logged: readonly string[];
  counted(name: MetricName): number;
  /** Waits until the read models have seen the log as it is now. */
  settled(): Promise<void>;
  /** A graceful stop. May be called twice. */
  stop(): Promise<void>;
  /** As by kill -9: nothing more reaches log or leases, whatever was under way is lost. */
  kill(): Promise<void>;
}

/** Starts an engine on a database; several on one are several processes, as far as the database can tell. */
export async function startTestEngine(url: string, options: TestEngineOptions = {}): Promise<TestEngine> {
  const database = openDatabase({ connection: url, poolMax: 6, embedded: false, applicationName: 'engine test' });
  await migrate(database.knex);
  const { pool, knex } = database;
  const faults: Faults = { logAway: false, claimUnanswered: false, leasesAway: false, slotsAway: false };
  const real = createPostgresEventStore({ pool, codec: createCodec(identitySeal), embedded: false });
  const store = breakable(real, faults);
  const following = new AbortController();
  const clock = systemClock;
  const logged: string[] = [];
  const projections = await runProjections({ knex, store, clock, projections: readModels, signal: following.signal });
  const engine = await engineOn(store, database);
  const counts = new Map<string, number>();
  const bus = (options.bus ?? same)(createMemoryBus());
  const leases = (options.leases ?? same)(breakableLeases(createPostgresLeases({ pool }), faults));
  const slots = (options.slots ?? same)(breakableSlots(createPostgresSlots({ pool }), faults));
  const models = options.models ?? createScriptedModel();
  const hurry = new AbortController();
  const names = readModels.map(({ name }) => name);
  const settled = async () => void (await projections.waitFor(await store.head(), names, { timeoutMs: 5_000 }));
  const worker = options.worker ?? `worker-${randomUUID().slice(0, 8)}`;
  const turns = (options.turns ?? same)(turnQueries(knex));
  const workers = await startWorkers(
    {
      engine,
      bus,
      leases,
      slots,
      models: new Map<string, LanguageModel>([['offline', models], ...(options.more ?? [])]),
      turns,
      discussions: discussionQueries(knex),
      recall: options.recall ?? null,
      worker,
      incarnation: systemIds.next(),
      settings: { ...settings, ...options.settings },
      stopping: hurry.signal,
      telemetry: countInto(counts),
      log: logInto(logged),
    },
    settled,
    options.roles,
  );
  let ended: Promise<void> | undefined;
  const end = async () => {
    await workers.stop();
    hurry.abort();
    following.abort();
    await projections.finished;
    await real.close();
    await database.close();
  };
  const stop = () => (ended ??= end());
  const kill = () => {
    Object.assign(faults, { logAway: true, leasesAway: true });
    hurry.abort();
    return stop();
  };
  const counted = (name: MetricName) => counts.get(name) ?? 0;
  return { engine, store, bus, models, turns, worker, faults, logged, counted, settled, stop, kill };
}

function same<T>(value: T): T {
  return value;
}

async function engineOn(store: EventStore, { knex, pool }: Database): Promise<Engine> {
  const commands = commandQueries(knex);
  return {
    store,
    clock: systemClock,
    ids: systemIds,
    authorizer: await createCasbinAuthorizer(),
    snapshots: createPostgresSnapshots({ pool }),
    states: createStateCache(),
    turnstile: createTurnstile(),
    async findCommand(commandId) {
      const { row, checkpoint } = await commands.find(commandId);
      return { found: row, checkpoint };
    },
  };
}

function breakable(store: EventStore, faults: Faults): EventStore {
  const append: EventStore['append'] = async (...args) => {
    if (faults.logAway) throw new Refusal('unavailable', 'the log is away');
    const answer = await store.append(...args);
    if (!faults.claimUnanswered || args[1][0]?.type !== 'TurnClaimed') return answer;
    Object.assign(faults, { claimUnanswered: false, logAway: true });
    throw new UnknownOutcome('the log went away');
  };
  return {
    append,
    read: (...args) => store.read(...args),
    readAll: (...args) => store.readAll(...args),
    readStored: (...args) => store.readStored(...args),
    subscribe: (...args) => store.subscribe(...args),
    head: () => store.head(),
    lineage: () => store.lineage(),
  };
}

function breakableLeases(leases: Leases, faults: Faults): Leases {
  return {
    renew: async (...args) => (faults.leasesAway ? undefined : leases.renew(...args)),
    release: async (...args) => (faults.leasesAway ? undefined : leases.release(...args)),
    list: (...args) => leases.list(...args),
  };
}

function breakableSlots(slots: Slots, faults: Faults): Slots {
  return {
    async take(...args) {
      if (faults.slotsAway) throw new Refusal('unavailable', 'the places are away');
      return slots.take(...args);
    },
    renew: async (...args) => (faults.leasesAway ? undefined : slots.renew(...args)),
    free: async (...args) => (faults.leasesAway ? undefined : slots.free(...args)),
  };
}

function countInto(counts: Map<string, number>): Telemetry {
  const nothing = () => undefined;
  return {
    count: (name, _labels, by = 1) => void counts.set(name, (counts.get(name) ?? 0) + by),
    set: nothing,
    observe: nothing,
  };
}

function logInto(lines: string[]): Log {
  const keep = (fields: Record<string, unknown>, message: string) => {
    const error = fields.err instanceof Error ? ` (${fields.err.message})` : '';
    lines.push(`${message}${error}`);
  };
  return { info: () => undefined, warn: keep, error: keep };
}
