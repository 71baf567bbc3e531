/** The chain behind an event: which request asked for it, which commands followed from that, what each of them wrote. */
import type { RecordedEvent } from '../domain/envelope.ts';
import type { EventStore } from '../domain/ports.ts';

/** One command of a chain. `requestId` is null for what a worker asked. */
export interface TraceStep {
  readonly relation: 'cause' | 'asked' | 'consequence';
  readonly commandId: string;
  readonly requestId: string | null;
  readonly correlationId: string;
  /** The event that caused it; null for what a person started. */
  readonly causationId: string | null;
  readonly traceparent: string | null;
  readonly actor: RecordedEvent['metadata']['actor'];
  readonly occurredAt: string;
  readonly project: string;
  readonly stream: string;
  readonly events: readonly TracedEvent[];
}

export interface TracedEvent {
  readonly id: string;
  readonly type: string;
  readonly revision: number;
  readonly position: string;
  readonly turnId: string | null;
  readonly attempt: number | null;
  /** Why, where the event says so in one word. */
  readonly reason: string | null;
}

export interface Trace {
  /** Oldest first. */
  readonly steps: readonly TraceStep[];
  /** Commands of the chain that were left out: the eldest causes but the first, and the latest consequences. */
  readonly omitted: number;
}

/** Which commands of a stream a trace begins with. */
export interface TraceStart {
  readonly stream: string;
  readonly commandIds: ReadonlySet<string>;
}

/** Events of one stream that are looked through at most. */
const MAX_EVENTS = 200_000;

/**
 * Reads the stream once, and keeps of each event only what a trace shows.
 * @param limit commands answered at most, at least 2.
 */
export async function traceOf(store: EventStore, { stream, commandIds }: TraceStart, limit: number): Promise<Trace> {
  const commands = await commandsOf(store, stream);
  const byEvent = new Map(
    [...commands.values()].flatMap((step) => step.events.map(({ id }) => [id, step.commandId] as const)),
  );
  const causes = causesOf(commands, byEvent, commandIds);
  const consequences = new Set<string>();
  for (const { commandId, causationId } of commands.values()) {
    if (commandIds.has(commandId) || causes.has(commandId)) continue;
    const cause = causationId === null ? undefined : byEvent.get(causationId);
    if (cause !== undefined && (commandIds.has(cause) || consequences.has(cause))) consequences.add(commandId);
  }
  const shown = choose([...causes].reverse(), [...commandIds], [...consequences], limit);
  const steps = [...commands.values()].flatMap((step): TraceStep[] => {
    if (!shown.has(step.commandId)) return [];
    const relation = causes.has(step.commandId) ? 'cause' : commandIds.has(step.commandId) ? 'asked' : 'consequence';
    return [{ ...step, relation }];
  });
  return { steps, omitted: causes.size + commandIds.size + consequences.size - shown.size };
}

type Command = Omit<TraceStep, 'relation' | 'events'> & { readonly events: TracedEvent[] };

/** By command id, in the order of the log. */
async function commandsOf(store: EventStore, stream: string): Promise<Map<string, Command>> {
  const commands = new Map<string, Command>();
  for await (const event of store.read(stream, { limit: MAX_EVENTS })) {
    const { commandId } = event.metadata;
    const command = commands.get(commandId) ?? commandOf(event);
    commands.set(commandId, command);
    command.events.push(traced(event));
  }
  return commands;
}

function commandOf({ stream, metadata }: RecordedEvent): Command {
  const { actor, commandId, correlationId, occurredAt, project } = metadata;
  const { requestId = null, causationId = null, traceparent = null } = metadata;
  const who = { actor: { kind: actor.kind, id: actor.id }, occurredAt, project, stream };
  return { commandId, requestId, correlationId, causationId, traceparent, ...who, events: [] };
}

function traced({ id, type, revision, position, data }: RecordedEvent): TracedEvent {
  const fields = data as Readonly<Record<string, unknown>>;
  const { turnId, attempt, reason } = fields;
  return {
    id,
    type,
    revision,
    position: position.toString(),
    turnId: typeof turnId === 'string' ? turnId : null,
    attempt: typeof attempt === 'number' ? attempt : null,
    reason: typeof reason === 'string' ? reason : null,
  };
}

/** The nearest first. */
function causesOf(
  commands: ReadonlyMap<string, Command>,
  byEvent: ReadonlyMap<string, string>,
  from: ReadonlySet<string>,
): Set<string> {
  const causes = new Set<string>();
  for (const start of from)
    for (let at = commands.get(start); at !== undefined;) {
      const cause = at.causationId === null ? undefined : byEvent.get(at.causationId);
      if (cause === undefined || causes.has(cause) || from.has(cause)) break;
      causes.add(cause);
      at = commands.get(cause);
    }
  return causes;
}

/** What was asked for, then the first cause, then by halves the nearest causes and the first consequences. */
function choose(causes: string[], asked: string[], consequences: string[], limit: number): Set<string> {
  const shown = new Set([...asked.slice(0, limit), ...causes.slice(0, 1)]);
  const room = Math.max(0, limit - shown.size);
  const nearest = Math.min(causes.length, Math.max(Math.ceil(room / 2), room - consequences.length));
  for (const each of nearest === 0 ? [] : causes.slice(-nearest)) shown.add(each);
  for (const each of consequences.slice(0, Math.max(0, limit - shown.size))) shown.add(each);
  return shown;
}
