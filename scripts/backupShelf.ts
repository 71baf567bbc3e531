/** The backups that are there: looks at them, verifies them, removes old ones. Needs no database. */
import type { BackupShelf, Verified } from '../domain/backup/backups.ts';
import { createLogDigest, createOrderCheck, readLogLine } from '../domain/backup/logLines.ts';
import {
  BACKUP_ID,
  backupFolder,
  type BackupSummary,
  MANIFEST,
  type Manifest,
  parseManifest,
} from '../domain/backup/manifest.ts';
import { type Keep, prunable } from '../domain/backup/retention.ts';
import { objectBytes, type ObjectStore, type StoredObject } from '../domain/objectStore.ts';
import type { Clock } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { holdAgainstCheckpoints } from './backupAudit.ts';
import { type PartSource, readPart } from './backupParts.ts';

export interface ShelfOptions {
  readonly objects: ObjectStore;
  readonly clock: Clock;
  readonly keep: Keep;
  /** Private keys; null when there are none. */
  keys(): Promise<readonly string[] | null>;
}

const MANIFEST_MOST_BYTES = 64 << 20;
const FINDINGS_MOST = 20;
const REPORT_EVERY = 5_000;
/** What has no manifest after so long is no backup in the making. */
const ABANDONED_MS = 86_400_000;

/** Looks, verifies and prunes. */
export function createBackupShelf(options: ShelfOptions): BackupShelf {
  const { objects, clock } = options;
  return {
    list: () => summaries(objects),
    get: (id) => readManifest(objects, id),
    async verify(id, report, signal) {
      const manifest = await readManifest(objects, id);
      const source = { objects, id, keys: await neededKeys(options) };
      const verified = await verifyBackup(source, manifest, report, signal);
      if (!verified.ok) return verified;
      report(manifest.events, manifest.events, 'holding it against signed checkpoints');
      const { checkpoints, findings } = await holdAgainstCheckpoints(source, manifest, signal);
      return { ...verified, checkpoints, findings: findings.slice(0, FINDINGS_MOST), ok: findings.length === 0 };
    },
    async prune({ dryRun, count, days }) {
      const own = count !== undefined || days !== undefined;
      const backups = await summaries(objects);
      const going = prunable(backups, own ? { count, days } : options.keep, clock.now());
      if (!dryRun) {
        for (const { id } of going) await removeBackup(objects, id);
        await removeAbandoned(objects, new Set(backups.map(({ id }) => id)), clock.now());
      }
      return { dryRun, removed: going.map(({ id }) => id), kept: backups.length - going.length };
    },
  };
}

/** Private keys. @throws Refusal `unavailable`, which says how to give one. */
export async function neededKeys({ keys }: Pick<ShelfOptions, 'keys'>): Promise<readonly string[]> {
  const found = await keys();
  if (found === null)
    throw new Refusal('unavailable', 'there is no key to open backups with: set BACKUP_KEY_FILE', { retryable: false });
  return found;
}

/** @throws Refusal `not-found` for an unknown id, `conflict` for a manifest that is damaged. */
export async function readManifest(objects: ObjectStore, id: string): Promise<Manifest> {
  const name = backupFolder(id) + MANIFEST;
  const bytes = await objectBytes(objects, name, MANIFEST_MOST_BYTES).catch((error: unknown) => {
    if (error instanceof Refusal && error.code === 'not-found')
      throw new Refusal('not-found', 'there is no such backup: `colloquy backup list` shows them');
    throw error;
  });
  const manifest = parseManifest(Buffer.from(bytes).toString('utf8'));
  if (manifest.id !== id) throw new Refusal('conflict', `the manifest of backup ${id} is that of ${manifest.id}`);
  return manifest;
}

async function summaries(objects: ObjectStore): Promise<BackupSummary[]> {
  const there = await objects.list(backupFolder());
  const sizes = new Map(there.map(({ name, sizeBytes }) => [name, sizeBytes]));
  const found: BackupSummary[] = [];
  for (const id of idsOf(there)) {
    if (!sizes.has(backupFolder(id) + MANIFEST)) continue;
    found.push(summaryOf(await readManifest(objects, id).catch(asDamaged), id, sizes));
  }
  return found;
}

function asDamaged(error: unknown): null {
  if (error instanceof Refusal && error.code !== 'unavailable') return null;
  throw error;
}

function summaryOf(manifest: Manifest | null, id: string, sizes: ReadonlyMap<string, number>): BackupSummary {
  if (manifest === null) {
    const madeAt = id.replace(/^(\d{4})(\d\d)(\d\d)t(\d\d)(\d\d)(\d\d)z.*$/, '$1-$2-$3T$4:$5:$6.000Z');
    return { id, madeAt, program: '', lineage: '', events: 0, head: '0', sizeBytes: 0, whole: false };
  }
  const { madeAt, program, lineage, events, head, parts } = manifest;
  const whole = parts.every(({ name, sizeBytes }) => sizes.get(backupFolder(id) + name) === sizeBytes);
  const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
  return { id, madeAt, program, lineage, events, head, sizeBytes, whole };
}

function idsOf(there: readonly StoredObject[]): string[] {
  const ids = there.map(({ name }) => name.slice(backupFolder().length).split('/')[0] ?? '');
  return [...new Set(ids)].filter((id) => BACKUP_ID.test(id)).sort();
}

/** The manifest first: a backup that is half removed is none. */
async function removeBackup(objects: ObjectStore, id: string): Promise<void> {
  await objects.remove(backupFolder(id) + MANIFEST);
  for (const { name } of await objects.list(backupFolder(id))) await objects.remove(name);
}

async function removeAbandoned(objects: ObjectStore, known: ReadonlySet<string>, nowMs: number): Promise<void> {
  const there = await objects.list(backupFolder());
  for (const id of idsOf(there)) {
    const own = there.filter(({ name }) => name.startsWith(backupFolder(id)));
    if (known.has(id) || own.some(({ writtenAt }) => nowMs - writtenAt < ABANDONED_MS)) continue;
    for (const { name } of own) await objects.remove(name);
  }
}

/** Reads every part; goes on after a finding, to tell what else is wrong. */
async function verifyBackup(
  source: PartSource,
  manifest: Manifest,
  report: (done: number, total: number, note: string) => void,
  signal: AbortSignal,
): Promise<Verified> {
  const findings: string[] = [];
  const digest = createLogDigest();
  const check = createOrderCheck();
  for (const part of manifest.parts)
    try {
      for await (const line of readPart(source, part)) {
        if (part.kind !== 'log') continue;
        const record = readLogLine(line);
        digest.add(record);
        const wrong = check(record);
        if (wrong !== null && findings.length < FINDINGS_MOST) findings.push(wrong);
        if (digest.events() % REPORT_EVERY !== 0) continue;
        signal.throwIfAborted();
        report(digest.events(), manifest.events, 'reading the log');
      }
    } catch (error) {
      if (!(error instanceof Refusal) || error.code === 'unavailable' || error.code === 'forbidden') throw error;
      findings.push(error.message);
    }
  if (findings.length === 0 && digest.sha256() !== manifest.logSha256)
    findings.push('the events are not those that the manifest was written for');
  if (findings.length === 0 && String(digest.head()) !== manifest.head)
    findings.push(`the log ends at position ${digest.head()}, not at ${manifest.head}`);
  const { id, parts } = manifest;
  return { id, ok: findings.length === 0, findings, events: digest.events(), parts: parts.length, checkpoints: null };
}
