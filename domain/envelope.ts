import { z } from 'zod';

/** Who caused an event. `grants` never enter the log. */
export const actorSchema = z.strictObject({
  kind: z.enum(['user', 'agent', 'worker', 'system']),
  id: z.string().min(1).max(200),
});
export type EventActor = z.infer<typeof actorSchema>;

/** Metadata follows the cause: `dispatch` derives it from the command, nobody assembles it by hand. */
export const metadataSchema = z.strictObject({
  actor: actorSchema,
  project: z.string(),
  /** RFC 3339, UTC, milliseconds. */
  occurredAt: z.string(),
  commandId: z.string(),
  /** Of the request's body; absent for what a worker asks. */
  bodySha256: z.string().optional(),
  requestId: z.string().optional(),
  correlationId: z.string(),
  /** Id of the event that caused this one; absent for what a person started. */
  causationId: z.string().optional(),
  traceparent: z.string().optional(),
});
export type EventMetadata = z.infer<typeof metadataSchema>;

/** An event that a command wants to append. `id` is uuidv5(commandId, index). */
export interface NewEvent {
  readonly id: string;
  readonly type: string;
  readonly schemaVersion: number;
  readonly data: unknown;
  readonly metadata: EventMetadata;
}

/** An event as it stands in the log. */
export interface RecordedEvent extends NewEvent {
  readonly stream: string;
  /** Place in its stream, from 0, without gaps. */
  readonly revision: number;
  /** Place in the log: compare it, never count with it (some logs leave gaps). */
  readonly position: bigint;
}

/** The kind of stream: `discussion-<id>` is of kind `discussion`. */
export function streamKind(stream: string): string {
  const dash = stream.indexOf('-');
  return dash < 0 ? stream : stream.slice(0, dash);
}

/** The id part of a stream's name. */
export function streamId(stream: string): string {
  return stream.slice(stream.indexOf('-') + 1);
}

/** An event as the API, exports and buses show it: revision a number, position a string. */
export function onTheWire(event: RecordedEvent) {
  const { actor, occurredAt, commandId, correlationId, causationId } = event.metadata;
  return {
    id: event.id,
    type: event.type,
    schemaVersion: event.schemaVersion,
    stream: event.stream,
    revision: event.revision,
    position: event.position.toString(),
    occurredAt,
    actor,
    commandId,
    correlationId,
    causationId: causationId ?? null,
    data: event.data,
  };
}
