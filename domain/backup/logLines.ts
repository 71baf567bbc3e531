/** The log as lines of a backup: each event exactly as it is stored. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { StoredRecord } from '../codec.ts';
import { Refusal } from '../refusal.ts';

const lineSchema = z.object({
  position: z.string().regex(/^\d{1,19}$/),
  stream: z.string(),
  revision: z.int().min(0),
  id: z.string(),
  type: z.string(),
  schemaVersion: z.int(),
  data: z.string(),
  metadata: z.string(),
});

/** One line of JSON without its end. */
export function logLine(record: StoredRecord): string {
  const { position, stream, revision, id, type, schemaVersion, data, metadata } = record;
  return JSON.stringify({ position: String(position), stream, revision, id, type, schemaVersion, data, metadata });
}

/** @throws Refusal `conflict` for a line that is no event. */
export function readLogLine(line: string): StoredRecord {
  const { success, data } = lineSchema.safeParse(JSON.parse(line));
  if (!success) throw new Refusal('conflict', 'the backup holds a line that is no event');
  return { ...data, position: BigInt(data.position) };
}

export interface LogDigest {
  add(record: StoredRecord): void;
  events(): number;
  /** Position of the last event added, 0n for none. */
  head(): bigint;
  sha256(): string;
}

/**
 * SHA-256 over the events in order, each as canonical JSON of stream, revision, id, type, schema version, data and
 * metadata. Positions are left out: another server hands out other ones.
 */
export function createLogDigest(): LogDigest {
  const hash = createHash('sha256');
  let events = 0;
  let head = 0n;
  return {
    add({ stream, revision, id, type, schemaVersion, data, metadata, position }) {
      hash.update(JSON.stringify([stream, revision, id, type, schemaVersion, data, metadata]));
      events += 1;
      head = position;
    },
    events: () => events,
    head: () => head,
    sha256: () => hash.copy().digest('hex'),
  };
}

/**
 * Tells what is wrong with the order of events: positions that do not rise, revisions of a stream with a gap or from
 * another start than 0. Keeps a number for each stream.
 * @returns null while nothing is wrong, else a sentence that names the event.
 */
export function createOrderCheck(): (record: StoredRecord) => string | null {
  const last = new Map<string, number>();
  let position = 0n;
  return (record) => {
    const expected = (last.get(record.stream) ?? -1) + 1;
    const at = `event ${record.id} at position ${record.position}`;
    if (record.position <= position) return `${at} does not come after position ${position}`;
    if (record.revision !== expected)
      return `${at} is revision ${record.revision} of ${record.stream}, not ${expected}`;
    position = record.position;
    last.set(record.stream, record.revision);
    return null;
  };
}
