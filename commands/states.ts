import { LRUCache } from 'lru-cache';
import type { RecordedEvent } from '../domain/envelope.ts';
import type { EventStore, Snapshots } from '../domain/ports.ts';
import type { Aggregate } from './aggregate.ts';

/** A stream's folded state. `revision` −1 and `eventId` null: there is no such stream. */
export interface Loaded<S> {
  readonly state: S;
  readonly revision: number;
  readonly eventId: string | null;
  readonly position: bigint;
}

/** Folded states by stream; what another process appended meanwhile shows as a conflict, then `refresh` reads it. */
export type StateCache = LRUCache<string, Loaded<unknown>>;

/** Events after which a snapshot is written: a cold start then reads at most about this many. */
const SNAPSHOT_EVERY = 500;

/** @param max streams kept. */
export function createStateCache(max = 2000): StateCache {
  return new LRUCache({ max });
}

interface Sources {
  readonly store: EventStore;
  readonly snapshots: Snapshots;
  readonly states: StateCache;
}

/** The stream's state as cached, else from its snapshot and the events after it. */
export async function load<S, E extends { type: string; data: unknown }>(
  from: Sources,
  aggregate: Aggregate<S, E>,
  stream: string,
): Promise<Loaded<S>> {
  const cached = from.states.get(stream) as Loaded<S> | undefined;
  return cached ?? refresh(from, aggregate, stream);
}

/** The stream's state with everything that the log holds now. */
export async function refresh<S, E extends { type: string; data: unknown }>(
  from: Sources,
  aggregate: Aggregate<S, E>,
  stream: string,
): Promise<Loaded<S>> {
  const base =
    (from.states.get(stream) as Loaded<S> | undefined) ??
    (await fromSnapshot(from, aggregate, stream)) ??
    emptyOf(aggregate);
  let loaded = base;
  for await (const event of from.store.read(stream, { from: base.revision + 1 }))
    loaded = advance(aggregate, loaded, event);
  keep(from, aggregate, stream, base, loaded);
  return loaded;
}

/** The state of the past, folded from the log; events after `revision` are not looked at. */
export async function stateAt<S, E extends { type: string; data: unknown }>(
  store: EventStore,
  aggregate: Aggregate<S, E>,
  stream: string,
  revision: number,
): Promise<Loaded<S>> {
  let loaded = emptyOf(aggregate);
  for await (const event of store.read(stream, { limit: revision + 1 })) loaded = advance(aggregate, loaded, event);
  return loaded;
}

/** Folds one event more. */
export function advance<S, E extends { type: string; data: unknown }>(
  aggregate: Aggregate<S, E>,
  loaded: Loaded<S>,
  event: RecordedEvent,
): Loaded<S> {
  const place = {
    revision: event.revision,
    atMs: Date.parse(event.metadata.occurredAt),
    cause: { eventId: event.id, correlationId: event.metadata.correlationId },
  };
  const state = aggregate.evolve(loaded.state, event as E & RecordedEvent, place);
  return { state, revision: event.revision, eventId: event.id, position: event.position };
}

/** Caches what was folded, unless the cache has moved further meanwhile, and writes a snapshot now and then. */
export function keep<S, E extends { type: string; data: unknown }>(
  to: Sources,
  aggregate: Aggregate<S, E>,
  stream: string,
  before: Loaded<S>,
  after: Loaded<S>,
): void {
  if (after.eventId === null) return;
  const cached = to.states.get(stream);
  if (cached === undefined || cached.revision < after.revision) to.states.set(stream, after);
  if (Math.floor((before.revision + 1) / SNAPSHOT_EVERY) === Math.floor((after.revision + 1) / SNAPSHOT_EVERY)) return;
  const { revision, eventId, state } = after;
  // Not awaited: a snapshot that could not be written costs a longer read, never the command.
  to.snapshots.save(stream, { revision, eventId, version: aggregate.fold, state }).catch(() => undefined);
}

async function fromSnapshot<S, E extends { type: string; data: unknown }>(
  from: Sources,
  aggregate: Aggregate<S, E>,
  stream: string,
): Promise<Loaded<S> | null> {
  const snapshot = await from.snapshots.load(stream);
  if (snapshot?.version !== aggregate.fold) return null;
  for await (const event of from.store.read(stream, { from: snapshot.revision, limit: 1 })) {
    if (event.id !== snapshot.eventId) return null;
    return { state: snapshot.state as S, revision: event.revision, eventId: event.id, position: event.position };
  }
  return null;
}

function emptyOf<S, E extends { type: string; data: unknown }>(aggregate: Aggregate<S, E>): Loaded<S> {
  return { state: aggregate.initial, revision: -1, eventId: null, position: 0n };
}
