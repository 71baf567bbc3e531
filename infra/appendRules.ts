/** What every log refuses before anything is sent, so that events can be moved from one to another: knows no technology. */
import type { Codec, StoredEvent, StoredRecord } from '../domain/codec.ts';
import type { NewEvent } from '../domain/envelope.ts';
import { NO_STREAM } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';

/** One append, encoded: EventStoreDB takes 1 MiB with its own framing, and a log can be moved between the two. */
const APPEND_BYTES = 900 * 1024;
/** What an event's id, type and framing add. */
const EVENT_BYTES = 128;
const LARGE_APPEND = 32;
const STREAM_NAME = /^[a-z]+-[A-Za-z0-9-]+$/;
const STREAM_CHARS = 200;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** Some logs join texts with it; canonical JSON never holds it unescaped. */
export const SEPARATOR = '\u001f';

/** An append whose events are encoded and checked. */
export interface EncodedAppend {
  readonly stream: string;
  readonly expected: number;
  readonly events: readonly StoredEvent[];
  readonly bytes: number;
}

/**
 * The append as a log stores it, its ids in lower case.
 * @throws Refusal `invalid` for what the EventStore port does not take, `too-large` beyond 900 KiB.
 */
export async function encodeAppend(
  codec: Codec,
  stream: string,
  events: readonly NewEvent[],
  expected: number,
): Promise<EncodedAppend> {
  if (stream.length > STREAM_CHARS || !STREAM_NAME.test(stream))
    throw new Refusal('invalid', 'a stream is named <kind>-<id>, at most 200 characters of a-z, A-Z, 0-9 and -');
  if (!Number.isSafeInteger(expected) || expected < NO_STREAM)
    throw new Refusal('invalid', 'the expected revision is a whole number from -1');
  if (events.length === 0) throw new Refusal('invalid', 'an append holds at least one event');
  // Encoding takes some 20 µs an event: between large appends the event loop gets a turn, and the last one is sent.
  if (events.length >= LARGE_APPEND) await new Promise(setImmediate);
  const stored = (await codec.encode(stream, events)).map((event) => ({ ...event, id: event.id.toLowerCase() }));
  if (!stored.every(({ id }) => UUID.test(id))) throw new Refusal('invalid', 'the id of an event is a UUID');
  if (new Set(stored.map(({ id }) => id)).size < stored.length)
    throw new Refusal('invalid', 'an event id occurs twice in one append');
  const bytes = stored.reduce((total, event) => total + sizeOf(event), 0);
  if (bytes > APPEND_BYTES)
    throw new Refusal('too-large', `one append holds at most ${APPEND_BYTES} bytes, this one has ${bytes}`);
  return { stream, expected, events: stored, bytes };
}

function sizeOf({ type, data, metadata }: StoredEvent): number {
  for (const text of [type, data, metadata])
    if (text.includes(SEPARATOR) || text === '')
      throw new Refusal('internal', 'an event was not encoded as canonical JSON');
  return Buffer.byteLength(data) + Buffer.byteLength(metadata) + Buffer.byteLength(type) + EVENT_BYTES;
}

/** Most of one append of a restore: servers refuse appends beyond a megabyte. */
const RESTORED = { events: 100, chars: 250_000 };

/** Events of a backup as appends, in their order: neighbours of one stream go together. */
export function* storedAppends(records: readonly StoredRecord[]): Generator<EncodedAppend> {
  for (let at = 0; at < records.length;) {
    const events: StoredEvent[] = [];
    const { stream = '', revision = 0 } = records[at] ?? {};
    let bytes = 0;
    for (; at < records.length && events.length < RESTORED.events; at += 1) {
      const record = records[at];
      if (record?.stream !== stream) break;
      const { id, type, schemaVersion, data, metadata } = record;
      if (events.length > 0 && bytes + data.length > RESTORED.chars) break;
      events.push({ id, type, schemaVersion, data, metadata });
      bytes += data.length + metadata.length;
    }
    yield { stream, expected: revision - 1, events, bytes };
  }
}
