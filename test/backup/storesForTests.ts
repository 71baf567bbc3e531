/** Stores with a log in them to back up, and empty ones to restore into. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pino from 'pino';
import type { StoredRecord } from '../../domain/codec.ts';
import { readSettings, type Settings } from '../../infra/config.ts';
import { readBackupKeys } from '../../infra/ageKey.ts';
import { systemIds } from '../../infra/system.ts';
import { environmentWith, postgresForTests } from '../services.ts';
import { seedLog } from '../../scripts/bench/seedLog.ts';
import { restoreBackup, type Restored } from '../../scripts/backupRestore.ts';
import { neededKeys, readManifest } from '../../scripts/backupShelf.ts';
import { backupObjects } from '../../scripts/backups.ts';
import { openRestoreTarget } from '../../scripts/backupTarget.ts';
import { openStorage, type Storage } from '../../scripts/storage.ts';

export const silent = pino({ level: 'silent' });

export interface Place {
  readonly settings: Settings;
  readonly folder: string;
  stop(): Promise<void>;
}

/** A place without anything in it. @param more settings by their names in the environment. */
export async function newPlace(
  kind: 'postgres' | 'embedded',
  more: Readonly<Record<string, string>> = {},
): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'colloquy-backup-'));
  const database = kind === 'postgres' ? await postgresForTests() : null;
  const settings = readSettings({
    COLLOQUY_DATA: join(folder, 'data'),
    DATABASE_URL: database?.url ?? '',
    EVENTSTORE_URL: '',
    LOG_LEVEL: 'silent',
    PORT: '0',
    OLLAMA_URL: 'http://127.0.0.1:9',
    ...more,
  });
  return {
    settings,
    folder,
    async stop() {
      await database?.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Opens a place for the length of some work. */
export async function withStorage<T>(place: Place, work: (storage: Storage) => Promise<T>): Promise<T> {
  const storage = await openStorage(place.settings, silent);
  try {
    return await work(storage);
  } finally {
    await storage.close();
  }
}

/** The log as it is stored. */
export async function storedLog({ store }: Pick<Storage, 'store'>): Promise<StoredRecord[]> {
  const all: StoredRecord[] = [];
  for await (const record of store.readStored(0n)) all.push(record);
  return all;
}

/** A log of discussions, and an agent whose texts hold what formats trip over. @returns the canary in it. */
export async function fillLog({ store }: Pick<Storage, 'store'>, discussions = 6): Promise<string> {
  const canary = 'canary-8f1e2d3c';
  await seedLog(store, discussions);
  const commandId = systemIds.next();
  const metadata = {
    actor: { kind: 'user' as const, id: 'ada' },
    project: 'default',
    occurredAt: '2025-01-31T12:00:00.000Z',
    commandId,
    correlationId: commandId,
  };
  const profile = {
    name: 'Ümlaut 🦜',
    instructions: `A "quote", a \\ backslash, \\N, a tab\t, a line\nend, a lone \u2028, ${canary}`,
    model: { provider: 'offline' as const, name: 'offline' },
  };
  const data = { projectId: 'default', profile };
  const event = { id: systemIds.next(), type: 'AgentRegistered', schemaVersion: 1, data, metadata };
  await store.append(`agent-${systemIds.next()}`, [event], -1);
  return canary;
}

/** Runs the command line with `--json`. @returns the last line of its output. */
export async function runCommand<T>(env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<T> {
  const { stdout } = await promisify(execFile)(process.execPath, ['scripts/colloquy.mjs', ...args, '--json'], {
    cwd: join(import.meta.dirname, '..', '..'),
    env: environmentWith(env),
    timeout: 60_000,
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as T;
}

export interface RestoreMore {
  readonly restart?: boolean;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
  readonly report?: () => void;
}

/** Restores a backup. @param from the place whose settings name the backups and their key. */
export async function restore(from: Place, into: Place, id: string, more: RestoreMore = {}): Promise<Restored> {
  const objects = await backupObjects(from.settings);
  const { COLLOQUY_DATA: dataDir } = from.settings;
  const keys = await neededKeys({ keys: () => readBackupKeys({ dataDir }) });
  const target = await openRestoreTarget(into.settings, silent);
  const source = { objects, id, keys };
  const given = {
    restart: false,
    dryRun: false,
    report: () => undefined,
    signal: new AbortController().signal,
    log: silent,
    ...more,
  };
  try {
    return await restoreBackup({ target, source, manifest: await readManifest(objects, id), ...given });
  } finally {
    await target.close();
  }
}
