/** Makes a backup while everything goes on: the log up to its head, the tables no log tells, the evidence of the audit. */
import type { Backups, Report } from '../domain/backup/backups.ts';
import { createLogDigest, createOrderCheck, logLine, type LogDigest } from '../domain/backup/logLines.ts';
import { backupFolder, backupId, MANIFEST, type Manifest, type Part } from '../domain/backup/manifest.ts';
import { KEPT_TABLES } from '../domain/backup/tables.ts';
import type { ObjectStore } from '../domain/objectStore.ts';
import type { Clock, EventStore, Ids, Slots } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { rowsAsJson, schemaOf } from '../infra/postgresBackup.ts';
import type { Database } from '../infra/database.ts';
import { evidenceLines } from './backupAudit.ts';
import { type PartTarget, writeParts } from './backupParts.ts';

export interface BackupSource {
  readonly store: EventStore;
  readonly database: Database;
  /** Where backups go. */
  readonly objects: ObjectStore;
  /** The evidence of the audit, when there is some. */
  readonly evidence: ObjectStore | null;
  readonly slots: Slots;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly program: string;
  /** Public keys to encrypt for. */
  recipients(): Promise<readonly string[]>;
}

const SLOT = 'backup';
const LEASE_MS = 30_000;
const REPORT_EVERY = 5_000;

/**
 * Makes one. Its manifest is written last: what was interrupted is no backup.
 * @param wanted asked once no other process makes one; false: there is nothing to do any more.
 * @returns null when it was not wanted. @throws Refusal `conflict` while another process makes one.
 */
export async function createBackup(
  source: BackupSource,
  report: Report,
  signal: AbortSignal,
  wanted: () => Promise<boolean> = () => Promise.resolve(true),
): Promise<Manifest | null> {
  const { slots, ids, clock } = source;
  const holder = `backup-${ids.next()}`;
  if (!(await slots.take(holder, [{ name: SLOT, limit: 1 }], LEASE_MS)))
    throw new Refusal('conflict', 'a backup is being made already: wait for it to end');
  const over = new AbortController();
  void keepPlace(slots, holder, clock, over.signal);
  try {
    if (!(await wanted())) return null;
    return await write(source, report, signal);
  } finally {
    over.abort();
    await slots.free([holder]).catch(() => undefined);
  }
}

async function keepPlace(slots: Slots, holder: string, clock: Clock, signal: AbortSignal): Promise<void> {
  for (; !signal.aborted; await clock.sleep(LEASE_MS / 3, signal)) await slots.renew([holder]).catch(() => undefined);
}

async function write(source: BackupSource, report: Report, signal: AbortSignal): Promise<Manifest> {
  const { store, database, objects, clock, ids, program } = source;
  const recipients = await source.recipients();
  const nowMs = clock.now();
  const id = backupId(nowMs, ids.nonce());
  const target: PartTarget = { objects, id, recipients, signal };
  // Before the head is asked: evidence of events that the backup does not hold would say that it was cut.
  const evidence =
    source.evidence === null ? [] : await writeParts(target, { kind: 'evidence' }, evidenceLines(source.evidence));
  const head = await store.head();
  const digest = createLogDigest();
  const log = await writeParts(target, { kind: 'log' }, logLines(store, head, digest, report, signal));
  const tables: Part[] = [];
  for (const table of Object.keys(KEPT_TABLES)) {
    const rows = await rowsAsJson(database.knex, table);
    tables.push(...(await writeParts(target, { kind: 'table', table }, each(rows))));
  }
  const manifest: Manifest = {
    format: 'colloquy-backup/1',
    id,
    madeAt: new Date(nowMs).toISOString(),
    program,
    schema: await schemaOf(database.knex),
    lineage: await store.lineage(),
    events: digest.events(),
    head: String(digest.head()),
    logSha256: digest.sha256(),
    recipients: [...recipients],
    parts: [...log, ...tables, ...evidence],
  };
  signal.throwIfAborted();
  await objects.put(backupFolder(id) + MANIFEST, Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`));
  return manifest;
}

async function* logLines(
  store: EventStore,
  head: bigint,
  digest: LogDigest,
  report: Report,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const check = createOrderCheck();
  for await (const record of store.readStored(0n)) {
    if (record.position > head) break;
    const wrong = check(record);
    if (wrong !== null)
      throw new Refusal('internal', `the log itself is damaged: ${wrong}. Run \`colloquy events verify\``);
    digest.add(record);
    if (digest.events() % REPORT_EVERY === 0) {
      signal.throwIfAborted();
      report(digest.events(), Math.max(digest.events(), Number(head)), 'writing the log');
    }
    yield logLine(record);
  }
  if (digest.head() !== head)
    throw new Refusal('internal', `the log ends at position ${digest.head()} and not at its head ${head}`);
}

async function* each(rows: readonly string[]): AsyncGenerator<string> {
  for (const row of rows) yield await Promise.resolve(row);
}

/** What the API asks of it. */
export function backupMaker(source: BackupSource, get: Backups['list']): Backups['create'] {
  return async (report, signal) => {
    const manifest = await createBackup(source, report, signal);
    const summary = (await get()).find(({ id }) => id === manifest?.id);
    if (summary === undefined) throw new Refusal('internal', 'the backup is not to be found after it was made');
    return summary;
  };
}
