/**
 * An event as EventStoreDB stores it. The schema version stands behind the type, `MessagePosted@1`: so the metadata on
 * the server are the codec's bytes and nothing else, and a hash over them can be checked there without this program.
 */
import { type EventData, type ResolvedEvent, binaryEvent, jsonEvent } from '@eventstore/db-client';
import { LRUCache } from 'lru-cache';
import { type ParsedEvent, type StoredEvent } from '../domain/codec.ts';
import type { EventMetadata } from '../domain/envelope.ts';
import type { StoredRow } from './logPages.ts';

const TYPE = /^([A-Za-z][A-Za-z0-9]*)@(\d{1,9})$/;

/** An event with its place, parsed by the client. */
export type ParsedRow = ParsedEvent & Pick<StoredRow, 'revision' | 'position'>;

/** What the stored type of every event of a type begins with, whatever its version. */
export function typePrefix(type: string): string {
  return `${type}@`;
}

/** What the client appends. Data and metadata reach the server byte for byte. */
export function toEventData({ id, type, schemaVersion, data, metadata }: StoredEvent): EventData {
  const event = { id, type: `${typePrefix(type)}${schemaVersion}`, metadata: Uint8Array.from(Buffer.from(metadata)) };
  const parsed: unknown = JSON.parse(data);
  // The client writes JSON itself. Keys that look like numbers come out in another order: those go as bytes.
  if (isRecord(parsed) && JSON.stringify(parsed) === data) return jsonEvent({ ...event, data: parsed });
  return binaryEvent({ ...event, data: Buffer.from(data) });
}

/** The row of what the client read, which has parsed what was canonical JSON; null for an event that this program did not write. */
export function toRow({ event }: ResolvedEvent): StoredRow | null {
  const place = placeOf(event);
  if (event === undefined || place === null) return null;
  const { data, metadata }: { data: unknown; metadata?: unknown } = event;
  const { stream, revision, position, id, type, schemaVersion } = place;
  return { stream, revision, position, id, type, schemaVersion, data: textOf(data), metadata: textOf(metadata ?? {}) };
}

/** The event itself, for reading many: its text would be made only to be parsed again. */
export function toParsed({ event }: ResolvedEvent): ParsedRow | null {
  const place = placeOf(event);
  if (event === undefined || place === null) return null;
  const given: { data: unknown; metadata?: unknown } = event;
  const { stream, revision, position, id, type, schemaVersion } = place;
  // Written out, here and above: spreading these objects took longer than parsing their JSON.
  const metadata = parsed(given.metadata ?? {}) as EventMetadata;
  return { stream, revision, position, id, type, schemaVersion, data: parsed(given.data), metadata };
}

function placeOf(event: ResolvedEvent['event']): Omit<StoredRow, 'data' | 'metadata'> | null {
  if (event?.position === undefined) return null;
  const type = typeOf(event.type);
  if (type === null) return null;
  return {
    stream: event.streamId,
    revision: Number(event.revision),
    position: Number(event.position.commit),
    id: event.id,
    type: type.name,
    schemaVersion: type.version,
  };
}

const types = new LRUCache<string, { name: string; version: number }>({ max: 1_000 });

/** Null for a type that is none of ours. */
function typeOf(stored: string): { name: string; version: number } | null {
  const known = types.get(stored);
  if (known !== undefined) return known;
  const [, name, version] = TYPE.exec(stored) ?? [];
  if (name === undefined) return null;
  const type = { name, version: Number(version) };
  types.set(stored, type);
  return type;
}

/** What was appended as JSON is what JSON.stringify makes of it, and that is several times as fast as sorting keys. */
function textOf(value: unknown): string {
  return value instanceof Uint8Array ? bytesAsText(value) : JSON.stringify(value);
}

function parsed(value: unknown): unknown {
  return value instanceof Uint8Array ? JSON.parse(bytesAsText(value)) : value;
}

function bytesAsText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
