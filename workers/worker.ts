import type { Engine } from '../commands/engine.ts';
import type { Asked } from '../commands/dispatch.ts';
import type { Cause } from '../domain/discussion/state.ts';
import type { Deadlines } from '../domain/model.ts';
import type { Actor, Bus, LanguageModel, Leases, Slots } from '../domain/ports.ts';
import type { Log, Telemetry } from '../domain/telemetry.ts';
import type { discussionQueries } from '../projections/discussions.ts';
import type { PassageSearch } from '../projections/search/passageSearch.ts';
import type { turnQueries } from '../projections/turnQueries.ts';
import type { CircuitSettings } from './circuit.ts';

export interface WorkerSettings {
  /** Attempts at once. */
  readonly concurrency: number;
  /** A claim without a sign of life for this long is taken over. */
  readonly leaseMs: number;
  readonly renewMs: number;
  readonly sweepMs: number;
  /** First pause after a failed attempt; doubles, with jitter. */
  readonly retryMs: number;
  readonly deadlines: Deadlines;
  /** When a provider that fails is left alone; what is not given has its default. */
  readonly circuit?: Partial<CircuitSettings>;
  /** How long running attempts may go on when the worker stops. */
  readonly drainMs: number;
  /** Attempts at once over all processes, by `provider` or `provider/model`; what is not named has no limit. */
  readonly limits: ReadonlyMap<string, number>;
}

/** What a process does: tells of new work, finds what was forgotten, runs turns. */
export const workerRoles = ['relay', 'sweeper', 'turns'] as const;
export type WorkerRole = (typeof workerRoles)[number];

/** What workers need of the outside; made once by each composition root. */
export interface WorkerContext {
  readonly engine: Engine;
  readonly bus: Bus;
  readonly leases: Leases;
  readonly slots: Slots;
  readonly models: ReadonlyMap<string, LanguageModel>;
  readonly turns: ReturnType<typeof turnQueries>;
  readonly discussions: ReturnType<typeof discussionQueries>;
  /** What agents with a memory ask before they speak; without it they go without, and that is recorded. */
  readonly recall?: PassageSearch['semantic'] | null;
  /** Stays the same over restarts, so that a restarted worker finds its old claims. */
  readonly worker: string;
  /** Another one at each start; short, since every claim carries it. */
  readonly incarnation: string;
  readonly settings: WorkerSettings;
  /** Aborts when running attempts have had their time after a stop. */
  readonly stopping: AbortSignal;
  readonly telemetry: Telemetry;
  readonly log: Log;
}

/** The defaults of `WorkerSettings`. */
export const defaultWorkerSettings: WorkerSettings = {
  concurrency: 32,
  leaseMs: 15_000,
  renewMs: 5_000,
  sweepMs: 5_000,
  retryMs: 1_000,
  deadlines: { firstByteMs: 120_000, chunkMs: 30_000, totalMs: 300_000 },
  drainMs: 10_000,
  limits: new Map(),
};

/** Who workers are for the authorizer and in the log. */
export function workerActor(worker: string): Actor {
  return { kind: 'worker', id: worker, grants: [{ project: '*', role: 'worker' }] };
}

/** A worker's command, traced to the event that caused it. */
export function askedBy(ctx: Pick<WorkerContext, 'engine' | 'worker'>, commandId: string, cause: Cause | null): Asked {
  const asked = { actor: workerActor(ctx.worker), commandId, keyed: false };
  if (cause === null) return { ...asked, correlationId: commandId };
  const { eventId, correlationId, traceparent } = cause;
  return { ...asked, correlationId, causationId: eventId, ...(traceparent === undefined ? {} : { traceparent }) };
}
