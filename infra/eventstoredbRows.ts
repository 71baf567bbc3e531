/**
 * An event as EventStoreDB stores it. The schema version stands behind the type, `MessagePosted@1`: so the metadata on
 * the server are the codec's bytes and nothing else, and a hash over them can be checked there without this program.
 */
import { type EventData, type ResolvedEvent, binaryEvent, jsonEvent } from '@eventstore/db-client';
import { canonicalJson, type StoredEvent } from '../domain/codec.ts';
import type { StoredRow } from './logPages.ts';

const TYPE = /^([A-Za-z][A-Za-z0-9]*)@(\d{1,9})$/;

/** What the client appends. Data and metadata reach the server byte for byte. */
export function toEventData({ id, type, schemaVersion, data, metadata }: StoredEvent): EventData {
  const event = { id, type: `${type}@${schemaVersion}`, metadata: Uint8Array.from(Buffer.from(metadata)) };
  const parsed: unknown = JSON.parse(data);
  // The client writes JSON itself. Keys that look like numbers come out in another order: those go as bytes.
  if (isRecord(parsed) && JSON.stringify(parsed) === data) return jsonEvent({ ...event, data: parsed });
  return binaryEvent({ ...event, data: Buffer.from(data) });
}

/** The row of what the client read, which has parsed what was canonical JSON; null for an event that this program did not write. */
export function toRow({ event }: ResolvedEvent): StoredRow | null {
  if (event === undefined) return null;
  const [, type, schemaVersion] = TYPE.exec(event.type) ?? [];
  if (type === undefined || event.position === undefined) return null;
  const { data, metadata }: { data: unknown; metadata?: unknown } = event;
  return {
    stream: event.streamId,
    revision: Number(event.revision),
    position: Number(event.position.commit),
    id: event.id,
    type,
    schemaVersion: Number(schemaVersion),
    // What was appended as JSON is what JSON.stringify makes of it, and that is several times as fast as sorting keys.
    data: data instanceof Uint8Array ? bytesAsText(data) : JSON.stringify(data),
    metadata: metadata instanceof Uint8Array ? bytesAsText(metadata) : canonicalJson(metadata ?? {}),
  };
}

function bytesAsText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
