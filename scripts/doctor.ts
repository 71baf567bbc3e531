/** Looks at an installation from the ground up, and says what to do about what is not well. */
import { Refusal } from '../domain/refusal.ts';
import { readSettings, type Settings } from '../infra/config.ts';
import { withService, type ReachOptions } from './cli/reach.ts';
import { checkDatabase } from './doctorDatabase.ts';
import { checkDisk, checkFolder, checkLock, checkNode } from './doctorHost.ts';
import { checkService } from './doctorService.ts';
import { checkVectors } from './doctorVectors.ts';
import { checkModes } from './modes.ts';

/** `unknown`: it could not be looked at, because of what failed before or because it is not set up. */
export interface Check {
  readonly name: string;
  readonly status: 'ok' | 'warn' | 'fail' | 'unknown';
  readonly detail: string;
  /** What to do; null where all is well. */
  readonly next: string | null;
}

/** A check of its own that fails by throwing. */
export async function checked(name: string, next: string, look: () => Promise<Check> | Check): Promise<Check> {
  try {
    return await look();
  } catch (error) {
    return { name, status: 'fail', detail: messageOf(error), next };
  }
}

/** One line, for a person. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}

/**
 * All checks, in the order in which one needs the other. Where no service runs, one is opened for as long as it takes,
 * without workers; never when the database lacks migrations, which looking must not apply.
 */
export async function examine(options: ReachOptions): Promise<Check[]> {
  const node = checkNode(process.versions.node);
  let settings: Settings;
  try {
    settings = readSettings(options.data === undefined ? {} : { COLLOQUY_DATA: options.data });
    checkModes('start', settings);
  } catch (error) {
    return [node, { name: 'settings', status: 'fail', detail: messageOf(error), next: 'colloquy config print' }];
  }
  const ground = [node, { name: 'settings', status: 'ok' as const, detail: 'readable', next: null }];
  const next = 'name another folder with --data or COLLOQUY_DATA';
  // A service elsewhere has its own folder and database.
  if (settings.COLLOQUY_URL !== undefined) return [...ground, ...(await askService(options))];
  const host = [
    await checked('data folder', next, () => checkFolder(settings)),
    await checked('disk', next, () => checkDisk(settings.COLLOQUY_DATA)),
    await checked('data lock', next, () => checkLock(settings)),
  ];
  const database = await checkDatabase(settings);
  const bad = database.some(({ status, name }) => status === 'fail' || (name === 'migrations' && status === 'warn'));
  const vectors = await checkVectors(settings);
  return [...ground, ...host, ...database, ...vectors, ...(bad ? [unknownService()] : await askService(options))];
}

function unknownService(): Check {
  return { name: 'service', status: 'unknown', detail: 'not looked at: the database comes first', next: null };
}

async function askService(options: ReachOptions): Promise<Check[]> {
  try {
    return await withService(options, checkService);
  } catch (error) {
    const next = error instanceof Refusal && error.code === 'conflict' ? 'wait, or end that process' : 'colloquy start';
    return [{ name: 'service', status: 'fail', detail: messageOf(error), next }];
  }
}
