/** What a backup says of itself, and the names of its objects. */
import { z } from 'zod';
import { Refusal } from '../refusal.ts';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().min(0);

const partSchema = z.object({
  /** Below the backup's folder. */
  name: z.string().regex(/^[a-z0-9-]+\.ndjson\.gz\.age$/),
  kind: z.enum(['log', 'table', 'evidence']),
  /** Of the table, for that kind. */
  table: z.string().optional(),
  /** As it is stored: encrypted. */
  sizeBytes: count,
  sha256,
  lines: count,
});
export type Part = z.output<typeof partSchema>;

const manifestSchema = z.object({
  format: z.literal('colloquy-backup/1'),
  id: z.string(),
  madeAt: z.iso.datetime(),
  program: z.string(),
  /** The newest migration of the database it was made of. */
  schema: z.string(),
  lineage: z.string(),
  events: count,
  /** Position of the last event. */
  head: z.string().regex(/^\d+$/),
  /** Over each event as it is stored, in order, without its position: see `createLogDigest`. */
  logSha256: sha256,
  /** Public keys that the parts are encrypted for. */
  recipients: z.array(z.string()),
  parts: z.array(partSchema),
});
export type Manifest = z.output<typeof manifestSchema>;

/** What lists show of a backup. */
export interface BackupSummary {
  readonly id: string;
  readonly madeAt: string;
  readonly program: string;
  readonly lineage: string;
  readonly events: number;
  readonly head: string;
  readonly sizeBytes: number;
  /** Whether all its parts are there with their sizes; their content is looked at by `verify`. */
  readonly whole: boolean;
}

export const BACKUP_ID = /^\d{8}t\d{6}z-[0-9a-f]{8}$/;
const FOLDER = 'backups/';
export const MANIFEST = 'manifest.json';

/** Ids sort by time. @param nonce at least 8 hexadecimal digits. */
export function backupId(nowMs: number, nonce: string): string {
  const time = new Date(nowMs)
    .toISOString()
    .toLowerCase()
    .replace(/[-:]|\.\d+/g, '');
  return `${time}-${nonce.slice(0, 8)}`;
}

/** The folder of a backup, or of all of them, with `/` at its end. @throws Refusal `not-found` for what is no id. */
export function backupFolder(id?: string): string {
  if (id === undefined) return FOLDER;
  if (!BACKUP_ID.test(id)) throw new Refusal('not-found', 'there is no such backup: `colloquy backup list` shows them');
  return `${FOLDER}${id}/`;
}

/** @throws Refusal `conflict` when the text is no manifest of this format. */
export function parseManifest(text: string): Manifest {
  const parsed = manifestSchema.safeParse(jsonOf(text));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Refusal(
    'conflict',
    `the manifest of the backup is damaged or of a newer program (${issue?.path.join('.') ?? ''})`,
  );
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
