import { LRUCache } from 'lru-cache';
import { placeOf } from '../domain/discussion/evolve.ts';
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
  const loaded = await folded(from.store, aggregate, stream, base, Infinity);
  keep(from, aggregate, stream, base, loaded);
  return loaded;
}

async function folded<S, E extends { type: string; data: unknown }>(
  store: EventStore,
  aggregate: Aggregate<S, E>,
  stream: string,
  base: Loaded<S>,
  limit: number,
): Promise<Loaded<S>> {
  let loaded = base;
  for await (const event of store.read(stream, { from: base.revision + 1, ...(limit === Infinity ? {} : { limit }) })) {
    const begun = event.revision === 0 ? await aggregate.begun?.(store, event) : null;
    loaded = advance(aggregate, begun ? { ...loaded, state: begun } : loaded, event);
  }
  return loaded;
}

/** The state of the past, folded from the log; events after `revision` are not looked at. */
export async function stateAt<S, E extends { type: string; data: unknown }>(
  store: EventStore,
  aggregate: Aggregate<S, E>,
  stream: string,
  revision: number,
): Promise<Loaded<S>> {
  return folded(store, aggregate, stream, emptyOf(aggregate), revision + 1);
}

/** Folds one event more. */
export function advance<S, E extends { type: string; data: unknown }>(
  aggregate: Aggregate<S, E>,
  loaded: Loaded<S>,
  event: RecordedEvent,
): Loaded<S> {
  const state = aggregate.evolve(loaded.state, event as E & RecordedEvent, placeOf(event));
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
  const ofEvents = ({ revision }: Loaded<S>) => Math.floor((revision + 1) / SNAPSHOT_EVERY);
  // The state that a stream began from is read elsewhere, however far: only once.
  const begins = before.revision < 0 && aggregate.beginsElsewhere?.(after.state) === true;
  if (ofEvents(before) === ofEvents(after) && !begins) return;
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
