/** Engines over one log in memory, each with the cache of a process of its own. */
import * as assert from 'uvu/assert';
import { v5 as uuidv5, v7 as uuidv7 } from 'uuid';
import type { Asked } from '../../commands/dispatch.ts';
import type { Engine } from '../../commands/engine.ts';
import { createStateCache } from '../../commands/states.ts';
import { createTurnstile } from '../../commands/turnstile.ts';
import type { Actor, EventStore, Snapshot } from '../../domain/ports.ts';
import { Refusal, type RefusalCode } from '../../domain/refusal.ts';
import { createCasbinAuthorizer } from '../../infra/casbinAuthorizer.ts';
import { createMemoryEventStore, type MemoryEventStore } from '../standins/memoryEventStore.ts';

const NAMESPACE = '6ba7b810-9dad-41d1-80b4-00c04fd430c8';

/** What processes have in common: the log, the time, stored snapshots. */
export interface World {
  readonly log: MemoryEventStore;
  readonly time: { nowMs: number };
  readonly snapshots: Map<string, Snapshot>;
  /** Up to which position the read model `commands` has seen the log; all of it when null. */
  readModelAt: bigint | null;
}

export interface EngineOptions {
  /** Stands between the engine and the log. */
  readonly through?: (store: EventStore) => EventStore;
}

/** An empty log; positions leave gaps, as some logs do. */
export function createWorld(): World {
  return {
    log: createMemoryEventStore({ gap: 3n }),
    time: { nowMs: Date.parse('2026-01-01T00:00:00.000Z') },
    snapshots: new Map(),
    readModelAt: null,
  };
}

/** Another process on the same log. */
export async function processOn(world: World, options: EngineOptions = {}): Promise<Engine> {
  const { log, time, snapshots } = world;
  return {
    store: options.through?.(log) ?? log,
    clock: { now: () => time.nowMs, monotonic: () => time.nowMs, sleep: async () => undefined },
    ids: { next: () => uuidv7(), nonce: () => uuidv7().replaceAll('-', '').slice(-16), random: () => 0.5 },
    authorizer: await createCasbinAuthorizer(),
    snapshots: {
      load: async (stream) => snapshots.get(stream) ?? null,
      save: async (stream, snapshot) => void snapshots.set(stream, snapshot),
    },
    states: createStateCache(),
    turnstile: createTurnstile(),
    async findCommand(commandId) {
      const checkpoint = world.readModelAt ?? (await log.head());
      const own = log.events.filter((each) => each.metadata.commandId === commandId && each.position <= checkpoint);
      const [first, last] = [own[0], own.at(-1)];
      if (first === undefined || last === undefined) return { found: null, checkpoint };
      const { stream, revision: firstRevision, metadata } = first;
      const bodySha256 = metadata.bodySha256 ?? null;
      return { found: { stream, firstRevision, lastRevision: last.revision, bodySha256 }, checkpoint };
    },
  };
}

/** A user with one role in one project. */
export function userWith(role: string, project: string, id = `${role}-of-${project === '*' ? 'all' : project}`): Actor {
  return { kind: 'user', id, grants: [{ project, role }] };
}

export const ada: Actor = userWith('administrator', '*', 'ada');
export const worker: Actor = { kind: 'worker', id: 'w1', grants: [{ project: '*', role: 'worker' }] };

/** A request of Ada's without a key, unless told otherwise. */
export function asked(more: Partial<Asked> = {}): Asked {
  const commandId = more.commandId ?? uuidv7();
  return { actor: ada, commandId, keyed: false, correlationId: `correlation-${commandId}`, ...more };
}

/** A request with an Idempotency-Key; the same name is the same key. */
export function keyed(name: string, more: Partial<Asked> = {}): Asked {
  const actor = more.actor ?? ada;
  const commandId = uuidv5(`${actor.id}/${name}`, NAMESPACE);
  return asked({ commandId, keyed: true, bodySha256: 'a'.repeat(64), ...more });
}

/** The refusal of `work`. */
export async function refusalOf(code: RefusalCode, work: () => Promise<unknown>): Promise<Refusal> {
  let refusal: unknown;
  await work().catch((error: unknown) => (refusal = error));
  if (!(refusal instanceof Refusal)) throw new Error(`not refused with ${code}, but ${String(refusal)}`);
  assert.is(refusal.code, code, refusal.message);
  return refusal;
}

/** The refusal of `work`, which must have written nothing. */
export async function refusedIn(world: World, code: RefusalCode, work: () => Promise<unknown>): Promise<Refusal> {
  const before = world.log.events.length;
  const refusal = await refusalOf(code, work);
  assert.is(world.log.events.length, before, 'a refused command writes nothing');
  return refusal;
}

/** Types of the events that a command wrote, in log order. */
export function writtenBy(world: World, commandId: string): string[] {
  return world.log.events.filter((each) => each.metadata.commandId === commandId).map(({ type }) => type);
}
