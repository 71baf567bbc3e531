/**
 * Events taken out of a log with the proof that they stood in it, as lines of JSON: a manifest, the events, the proof, and
 * a last line that says how much there was, so that a file that was cut short shows.
 */
import { z } from 'zod';
import type { StoredRecord } from '../codec.ts';

export const EXPORT_FORMAT = 'colloquy-export/1';

const hex = z.string().regex(/^[0-9a-f]{64}$/);
const whole = z.int().min(0);
const position = z.string().regex(/^-?\d{1,18}$/);

/** What was asked for: one discussion with all that it needs, or the events from one position to another. */
export const exportedSchema = z.union([
  z.strictObject({ discussionId: z.string() }),
  z.strictObject({ from: position, to: position }),
]);
export type Exported = z.infer<typeof exportedSchema>;

const manifestSchema = z.strictObject({
  kind: z.literal('manifest'),
  format: z.literal(EXPORT_FORMAT),
  /** `colloquy/<lineage of the log>`. */
  origin: z.string(),
  what: exportedSchema,
  /** Streams that are in it from their beginning: up to a revision, or as far as they went. */
  streams: z.array(z.strictObject({ stream: z.string(), until: whole.nullable() })),
  /** RFC 3339. */
  madeAt: z.string(),
  /** The signed note that the proof leads to; null when there was none yet. */
  checkpoint: z.string().nullable(),
  /** Who has signed it; whom to trust, the reader must know from elsewhere. */
  publicKey: z.string(),
});
export type Manifest = z.infer<typeof manifestSchema>;

const eventSchema = z.strictObject({
  kind: z.literal('event'),
  /** Place in the log and the leaf before; null for an event that the checkpoint does not cover. */
  index: whole.nullable(),
  previous: hex.nullable(),
  position,
  stream: z.string(),
  revision: whole,
  id: z.string(),
  type: z.string(),
  schemaVersion: z.int(),
  /** The exact texts, as stored. */
  data: z.string(),
  metadata: z.string(),
});
export type ExportedEvent = z.infer<typeof eventSchema>;

/** Hashes of RFC 9162 subtrees without an exported event, from left to right, base64. */
const proofSchema = z.strictObject({ kind: z.literal('proof'), nodes: z.array(z.base64()) });
const endSchema = z.strictObject({
  kind: z.literal('end'),
  events: whole,
  covered: whole,
  /** SHA-256 of all bytes before this line. */
  sha256: hex,
});
/** Instead of an end: the export broke off. */
const errorSchema = z.strictObject({ kind: z.literal('error'), detail: z.string() });

/** One line of an export. */
export const exportLineSchema = z.discriminatedUnion('kind', [
  manifestSchema,
  eventSchema,
  proofSchema,
  endSchema,
  errorSchema,
]);
export type ExportLine = z.infer<typeof exportLineSchema>;

/** An exported event as the log stored it. */
export function recordOf({
  stream,
  revision,
  id,
  type,
  schemaVersion,
  data,
  metadata,
  ...event
}: ExportedEvent): StoredRecord {
  return { position: BigInt(event.position), stream, revision, id, type, schemaVersion, data, metadata };
}
