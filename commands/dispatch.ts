/** The only writer: every event of every stream is appended here. */
import { v5 as uuidv5 } from 'uuid';
import type { EventMetadata, NewEvent, RecordedEvent } from '../domain/envelope.ts';
import { eventDefinition } from '../domain/events.ts';
import { NO_STREAM, type Action, type Actor, type Appended } from '../domain/ports.ts';
import { Refusal, WrongExpectedRevision } from '../domain/refusal.ts';
import { inSpan, noTracer } from '../domain/tracing.ts';
import type { Aggregate } from './aggregate.ts';
import { appendSurely, takenForARepetition } from './appendSurely.ts';
import type { Engine } from './engine.ts';
import { processedBefore, recordedOutcome } from './processed.ts';
import { advance, keep, load, refresh, type Loaded } from './states.ts';

/** Who asks, and how it is traced. */
export interface Asked {
  readonly actor: Actor;
  /** A UUIDv7, or uuidv5 of project, principal, route and Idempotency-Key. */
  readonly commandId: string;
  /** The client gave a key, so this may be a repetition. */
  readonly keyed: boolean;
  /** SHA-256 of the request's body: the same key with another body is refused. */
  readonly bodySha256?: string;
  readonly correlationId: string;
  readonly requestId?: string;
  readonly causationId?: string;
  readonly traceparent?: string;
  /** If-Match: the stream must be at this revision. */
  readonly ifRevision?: number;
}

export interface Dispatch<S, E> {
  readonly id: string;
  readonly action: Action;
  /** For a command that begins its stream: the project it will belong to. */
  readonly createsIn?: string;
  /** For a command that begins its stream where another one stood: the state that its first event continues. */
  readonly begun?: S;
  /** Fails with `conflict` instead of deciding again when the stream has moved. */
  readonly onlyAtRevision?: number;
  decide(state: S, ctx: { nowMs: number; revision: number; newId(label: string): string }): readonly E[];
}

export interface Outcome<S, E> extends Appended {
  readonly id: string;
  readonly state: S;
  readonly events: readonly E[];
  /** Recorded before: this request repeated it. */
  readonly replayed: boolean;
}

/** Conflicts after which the caller is told. */
const MAX_CONFLICTS = 5;

/**
 * parse (by the caller) → state → authorise on the stream's project → decide → append at the exact revision; decides
 * again after a conflict (bounded), repeats the identical batch after an unknown outcome.
 * @throws Refusal `not-found` (also for what the actor may not see), `forbidden`, `revision-mismatch`, `conflict`,
 * `key-reused`, `in-flight`, `unavailable`, and whatever the decider refuses.
 */
export async function dispatch<S, E extends { type: string; data: unknown }>(
  engine: Engine,
  aggregate: Aggregate<S, E>,
  command: Dispatch<S, E>,
  asked: Asked,
): Promise<Outcome<S, E>> {
  const stream = `${aggregate.kind}-${command.id}`;
  const span = (engine.tracer ?? noTracer).begin(`command ${aggregate.kind}`, {
    parent: asked.traceparent,
    attributes: { 'colloquy.stream': stream, 'colloquy.command.id': asked.commandId },
  });
  return inSpan(span, async ({ traceparent }) => {
    const release = await engine.turnstile.enter(stream, asked.keyed ? asked.commandId : undefined);
    try {
      const traced = traceparent === undefined ? asked : { ...asked, traceparent };
      const outcome = await attempt(engine, aggregate, command, traced, stream);
      span.set({ 'colloquy.events': outcome.events.map(({ type }) => type), 'colloquy.replayed': outcome.replayed });
      return outcome;
    } finally {
      release();
    }
  });
}

async function attempt<S, E extends { type: string; data: unknown }>(
  engine: Engine,
  aggregate: Aggregate<S, E>,
  command: Dispatch<S, E>,
  asked: Asked,
  stream: string,
): Promise<Outcome<S, E>> {
  const fresh = command.createsIn !== undefined && !asked.keyed;
  let loaded: Loaded<S> = fresh
    ? { state: aggregate.initial, revision: NO_STREAM, eventId: null, position: 0n }
    : await load(engine, aggregate, stream);
  let current = fresh;
  for (let conflicts = 0; ; conflicts += 1) {
    const project = aggregate.projectOf(loaded.state) ?? command.createsIn;
    if (project === undefined && !current) {
      loaded = await refresh(engine, aggregate, stream);
      current = true;
      continue;
    }
    await authorise(engine, asked.actor, command, aggregate.kind, project);
    if (asked.keyed || conflicts > 0) {
      const before = await processedBefore(engine, stream, asked, loaded.revision);
      if (before !== null) return recordedOutcome(engine, aggregate, command.id, before, asked);
    }
    // Not before: the last conflict may have been with this very command, sent to another process before.
    if (conflicts >= MAX_CONFLICTS)
      throw new Refusal('conflict', 'others keep changing this at the same moment: try again', { retryable: true });
    let decided: readonly E[];
    const nowMs = engine.clock.now();
    try {
      checkRevision(command, asked, loaded.revision);
      decided = command.decide(loaded.state, deciding(nowMs, asked.commandId, loaded.revision));
    } catch (refusal) {
      // A cached state may be behind another process's writes: nobody is refused by it.
      if (current) throw refusal;
      loaded = await refresh(engine, aggregate, stream);
      current = true;
      continue;
    }
    try {
      return await write(engine, aggregate, { command, asked, stream, loaded, decided, nowMs, project: project ?? '' });
    } catch (error) {
      if (!(error instanceof WrongExpectedRevision)) throw error;
      loaded = await refresh(engine, aggregate, stream);
      current = true;
    }
  }
}

function checkRevision<S, E>(command: Dispatch<S, E>, asked: Asked, revision: number): void {
  if (asked.ifRevision !== undefined && asked.ifRevision !== revision)
    throw new Refusal('revision-mismatch', `it is at revision ${revision}: read it again before changing it`, {
      actualRevision: revision,
    });
  if (command.onlyAtRevision !== undefined && command.onlyAtRevision !== revision)
    throw new Refusal('conflict', 'the stream has moved', { actualRevision: revision, retryable: true });
}

/**
 * Who may not see a thing is told that it is not there.
 * @param project the stream's, undefined when there is no such stream. @throws Refusal `not-found`, `forbidden`.
 */
export async function authorise(
  engine: Engine,
  actor: Actor,
  command: Pick<Dispatch<unknown, unknown>, 'id' | 'action' | 'createsIn'>,
  kind: string,
  project: string | undefined,
): Promise<void> {
  // Made only when it is thrown: an error with its stack costs more than all the rest of this.
  const missing = () => new Refusal('not-found', `there is no such ${kind}`);
  if (project === undefined) throw missing();
  const object = { project, kind, id: command.id };
  if (await engine.authorizer.may(actor, command.action, object)) return;
  if (command.createsIn === undefined && !(await engine.authorizer.may(actor, 'read', object))) throw missing();
  throw new Refusal('forbidden', `your role in project ${project} does not allow this`);
}

function deciding(nowMs: number, commandId: string, revision: number) {
  return { nowMs, revision, newId: (label: string) => uuidv5(label, commandId) };
}

interface Write<S, E> {
  readonly command: Dispatch<S, E>;
  readonly asked: Asked;
  readonly stream: string;
  readonly loaded: Loaded<S>;
  readonly decided: readonly E[];
  /** When it was decided: the fold sees the same time. */
  readonly nowMs: number;
  readonly project: string;
}

async function write<S, E extends { type: string; data: unknown }>(
  engine: Engine,
  aggregate: Aggregate<S, E>,
  job: Write<S, E>,
): Promise<Outcome<S, E>> {
  const { command, asked, stream, loaded, decided } = job;
  if (decided.length === 0)
    return {
      id: command.id,
      state: loaded.state,
      events: [],
      revision: loaded.revision,
      position: loaded.position,
      replayed: false,
    };
  const events = newEvents(job);
  const appended = await appendSurely(engine.store, stream, events, loaded.revision);
  if (asked.keyed && (await takenForARepetition(engine.store, stream, events, loaded.revision))) {
    const before = await processedBefore(engine, stream, asked, appended.revision);
    if (before !== null) return recordedOutcome(engine, aggregate, command.id, before, asked);
  }
  const base = command.begun === undefined ? loaded : { ...loaded, state: command.begun };
  // Only the last one's position is known (some logs leave gaps), and only that is kept.
  const latest = events.reduce(
    (at, event, i) => advance(aggregate, at, recorded(event, stream, loaded.revision + 1 + i, appended.position)),
    base,
  );
  keep(engine, aggregate, stream, loaded, latest);
  return { id: command.id, state: latest.state, events: decided, ...appended, replayed: false };
}

function newEvents<S, E extends { type: string; data: unknown }>({
  asked,
  decided,
  nowMs,
  project,
}: Write<S, E>): NewEvent[] {
  const { actor, commandId, bodySha256, correlationId, causationId, requestId, traceparent } = asked;
  const metadata: EventMetadata = {
    actor: { kind: actor.kind, id: actor.id },
    project,
    occurredAt: new Date(nowMs).toISOString(),
    commandId,
    correlationId,
    ...(bodySha256 === undefined ? {} : { bodySha256 }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(causationId === undefined ? {} : { causationId }),
    ...(traceparent === undefined ? {} : { traceparent }),
  };
  return decided.map(({ type, data }, i) => ({
    id: uuidv5(String(i), commandId),
    type,
    schemaVersion: eventDefinition(type)?.version ?? 0,
    data,
    metadata,
  }));
}

function recorded(event: NewEvent, stream: string, revision: number, position: bigint): RecordedEvent {
  return { ...event, stream, revision, position };
}
