/** What the doctor sees of the machine. */
import { access, constants, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { Refusal } from '../domain/refusal.ts';
import type { Settings } from '../infra/config.ts';
import { lockDataFolder } from '../infra/dataLock.ts';
import { findRunning } from './cli/reach.ts';
import type { Check } from './doctor.ts';

const OLDEST_NODE = [20, 19] as const;
const LITTLE_BYTES = 1024 ** 3;
const TOO_LITTLE_BYTES = 100 * 1024 ** 2;
const SECRET_FILES = ['signing.key', 'credentials.json', 'audit.key', 'backup.key'];

/** @param version as `process.versions.node`. */
export function checkNode(version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const good = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  const next = good ? null : `install Node.js ${OLDEST_NODE.join('.')} or newer`;
  return { name: 'node', status: good ? 'ok' : 'fail', detail: version, next };
}

/** Whether the folder can be written, and its keys are read by nobody else. Rejects when it is not there. */
export async function checkFolder({ COLLOQUY_DATA: folder, DATABASE_URL }: Settings): Promise<Check> {
  const name = 'data folder';
  const there = await stat(folder).catch(() => null);
  if (there === null) {
    const status = DATABASE_URL === undefined ? 'fail' : 'warn';
    return { name, status, detail: `${folder} is not there`, next: 'colloquy start makes it; or name another one' };
  }
  await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  const open = [];
  for (const file of SECRET_FILES) {
    const mode = (await stat(join(folder, file)).catch(() => null))?.mode ?? 0;
    if ((mode & 0o077) !== 0) open.push(file);
  }
  if (open.length === 0) return { name, status: 'ok', detail: folder, next: null };
  const detail = `others may read ${open.join(', ')}`;
  return { name, status: 'fail', detail, next: `chmod 600 ${open.map((file) => join(folder, file)).join(' ')}` };
}

/** Room where the data folder is. Rejects when that is not there. */
export async function checkDisk(folder: string): Promise<Check> {
  const name = 'disk';
  if ((await stat(folder).catch(() => null)) === null)
    return { name, status: 'unknown', detail: 'there is no data folder', next: null };
  const { bavail, bsize } = await statfs(folder);
  const bytes = bavail * bsize;
  const detail = `${(bytes / 1024 ** 3).toFixed(1)} GB free`;
  if (bytes >= LITTLE_BYTES) return { name, status: 'ok', detail, next: null };
  return { name, status: bytes < TOO_LITTLE_BYTES ? 'fail' : 'warn', detail, next: 'make room: writes fail without' };
}

/** Who uses the folder of the embedded database, and whether they answer. Takes the lock for a moment when nobody does. */
export async function checkLock(settings: Settings): Promise<Check> {
  const name = 'data lock';
  const { COLLOQUY_DATA: folder, DATABASE_URL } = settings;
  if (DATABASE_URL !== undefined) return { name, status: 'unknown', detail: 'DATABASE_URL is used', next: null };
  if ((await stat(join(folder, 'pgdata')).catch(() => null)) === null)
    return { name, status: 'unknown', detail: 'there is no embedded database', next: null };
  try {
    await (await lockDataFolder(folder)).release();
    return { name, status: 'ok', detail: 'no process uses the folder', next: null };
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== 'conflict') throw error;
    const holder = /process \d+/.exec(error.message)?.[0] ?? 'a process';
    if ((await findRunning(settings)) !== null) return { name, status: 'ok', detail: `held by ${holder}`, next: null };
    const next = `wait if it is starting, else end ${holder} and start again: nothing acknowledged is lost`;
    return { name, status: 'fail', detail: `held by ${holder}, which does not answer`, next };
  }
}
