/** Backups as the settings say: where they are kept, for whom they are encrypted, how often one is made. */
import { join } from 'node:path';
import type { Backups, BackupShelf } from '../domain/backup/backups.ts';
import type { ObjectStore } from '../domain/objectStore.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Log, Telemetry } from '../domain/telemetry.ts';
import { backupRecipients, readBackupKeys } from '../infra/ageKey.ts';
import { programVersion, type Settings } from '../infra/config.ts';
import { openFolderObjects } from '../infra/folderObjects.ts';
import { createPostgresSlots } from '../infra/postgresSlots.ts';
import { systemClock, systemIds } from '../infra/system.ts';
import { backupMaker, type BackupSource } from './backupCreate.ts';
import { runBackupSchedule } from './backupSchedule.ts';
import { createBackupShelf } from './backupShelf.ts';
import { openObjects } from './objects.ts';
import type { Storage } from './storage.ts';

export interface OpenBackups {
  /** Null when no place is set. */
  readonly backups: Backups | null;
  /** Ends the schedule; a backup that it was making is left unfinished. */
  stop(): Promise<void>;
}

/** The place of backups. @throws Refusal `unavailable` when none is set, `invalid` when it cannot be used. */
export async function backupObjects(settings: Settings): Promise<ObjectStore> {
  if (settings.BACKUP_STORE === undefined)
    throw new Refusal('unavailable', 'no place for backups is set: set BACKUP_STORE', { retryable: false });
  return openObjects(settings.BACKUP_STORE, settings);
}

/** The backups that are there, for looking at and verifying without any database. */
export async function openBackupShelf(settings: Settings): Promise<BackupShelf> {
  const objects = await backupObjects(settings);
  const keep = { count: settings.BACKUP_KEEP, days: settings.BACKUP_KEEP_DAYS };
  return createBackupShelf({ objects, clock: systemClock, keep, keys: () => readBackupKeys(keyOf(settings)) });
}

function keyOf({ COLLOQUY_DATA: dataDir, BACKUP_KEY_FILE: keyFile }: Settings) {
  return { dataDir, keyFile };
}

/** Opens the backups of a process, and begins its schedule. @throws Refusal `invalid` for settings that cannot be used. */
export async function openBackups(
  settings: Settings,
  { store, database }: Pick<Storage, 'store' | 'database'>,
  log: Log,
  telemetry: Telemetry,
): Promise<OpenBackups> {
  if (settings.BACKUP_STORE === undefined) {
    if (settings.BACKUP_EVERY !== undefined)
      throw new Refusal('invalid', 'BACKUP_EVERY needs BACKUP_STORE: say where backups are to be kept');
    return { backups: null, stop: () => Promise.resolve() };
  }
  const shelf = await openBackupShelf(settings);
  const source: BackupSource = {
    store,
    database,
    objects: await backupObjects(settings),
    evidence: await openObjects(settings.AUDIT_STORE ?? join(settings.COLLOQUY_DATA, 'audit'), settings),
    slots: createPostgresSlots(database),
    clock: systemClock,
    ids: systemIds,
    program: programVersion(),
    recipients: () => recipientsOf(settings, log),
  };
  const over = new AbortController();
  const every = settings.BACKUP_EVERY;
  const schedule = runBackupSchedule({ shelf, source, every, log, telemetry }, over.signal);
  return {
    backups: { ...shelf, create: backupMaker(source, () => shelf.list()) },
    async stop() {
      over.abort();
      await schedule;
    },
  };
}

async function recipientsOf(settings: Settings, log: Log): Promise<readonly string[]> {
  if (settings.BACKUP_RECIPIENT.length > 0) return settings.BACKUP_RECIPIENT;
  const { recipients, made } = await backupRecipients(keyOf(settings), openFolderObjects(settings.COLLOQUY_DATA));
  if (made)
    log.warn({}, 'a key for backups was made: copy backup.key of the data folder elsewhere, nothing else opens them');
  return recipients;
}
