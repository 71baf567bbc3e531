/** The key pair of age that backups are encrypted for and opened with. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectStore } from '../domain/objectStore.ts';
import { Refusal } from '../domain/refusal.ts';
import { agePublicKey, newAgeKey } from './ageFiles.ts';

export interface BackupKeyOptions {
  /** Holds `backup.key` unless there is a file of one's own. */
  readonly dataDir: string;
  readonly keyFile?: string | undefined;
}

const NAME = 'backup.key';

/** Private keys of the file, as `age-keygen` writes it. Null when there is no file. @throws Refusal `invalid` without a key. */
export async function readBackupKeys({ dataDir, keyFile }: BackupKeyOptions): Promise<string[] | null> {
  const text = await readFile(keyFile ?? join(dataDir, NAME), 'utf8').catch((error: unknown) => {
    if (keyFile === undefined && error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new Refusal('invalid', 'the file of the backup key (BACKUP_KEY_FILE) cannot be read', { cause: error });
  });
  if (text === null) return null;
  const keys = text.split('\n').filter((line) => line.startsWith('AGE-SECRET-KEY-'));
  if (keys.length === 0) throw new Refusal('invalid', 'the file of the backup key holds no private key of age');
  return keys.map((key) => key.trim());
}

/**
 * The public keys to encrypt for; makes a key pair when there is none.
 * @param dataFolder the data folder as a place for objects. @returns `made` when it made one just now.
 */
export async function backupRecipients(
  options: BackupKeyOptions,
  dataFolder: ObjectStore,
): Promise<{ recipients: readonly string[]; made: boolean }> {
  const there = await readBackupKeys(options);
  if (there !== null) return { recipients: await Promise.all(there.map(agePublicKey)), made: false };
  const key = await newAgeKey();
  const recipient = await agePublicKey(key);
  const text = `# the key of this installation's backups: keep a copy elsewhere\n# public key: ${recipient}\n${key}\n`;
  try {
    await dataFolder.put(NAME, Buffer.from(text));
  } catch (error) {
    // Another process was first.
    if (error instanceof Refusal && error.code === 'conflict') return backupRecipients(options, dataFolder);
    throw error;
  }
  return { recipients: [recipient], made: true };
}
