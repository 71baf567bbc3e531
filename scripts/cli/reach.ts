/** Every command is a client of the REST API: of the service that runs, or of one opened here for this command alone. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Refusal } from '../../domain/refusal.ts';
import { readSettings, type Settings } from '../../infra/config.ts';
import type { EngineOptions } from '../engine.ts';
import { createRemote, type Remote } from '../remote.ts';

export interface ReachOptions {
  /** Data folder, else COLLOQUY_DATA. */
  readonly data?: string;
}

export interface Reached {
  readonly remote: Remote;
  /** Where the API is. */
  readonly url: string;
  readonly settings: Settings;
  /** False when it was opened for this command: it has no workers, and ends with the command. */
  readonly running: boolean;
}

const LOOK_MS = 2_000;

/**
 * Gives a command the service: that of COLLOQUY_URL, else the one that runs on the data folder, else one opened here,
 * without workers, which keeps the read models up to date while the command lasts.
 * @throws Refusal `not-found` when there is neither a service nor data.
 */
export async function withService<T>(options: ReachOptions, use: (reached: Reached) => Promise<T>): Promise<T> {
  return reach(options, use, { roles: new Set(['projector']) });
}

/**
 * The same for commands that ask the log alone: where a service is opened for one, it leaves the read models alone, which
 * may belong to what the log was before it was tampered with.
 */
export async function withLog<T>(options: ReachOptions, use: (reached: Reached) => Promise<T>): Promise<T> {
  return reach(options, use, { roles: new Set(), logAlone: true });
}

async function reach<T>(
  options: ReachOptions,
  use: (reached: Reached) => Promise<T>,
  own: Pick<EngineOptions, 'roles' | 'logAlone'>,
): Promise<T> {
  const settings = readSettings(options.data === undefined ? {} : { COLLOQUY_DATA: options.data });
  const found = await findRunning(settings);
  if (found !== null) return use({ ...found, settings, running: true });
  return withOwn(settings, use, own);
}

/** The service that COLLOQUY_URL or the data folder names, when it answers. @throws Refusal when COLLOQUY_URL has no token. */
export async function findRunning(settings: Settings): Promise<{ remote: Remote; url: string } | null> {
  if (settings.COLLOQUY_URL !== undefined) {
    if (settings.COLLOQUY_TOKEN === undefined)
      throw new Refusal('unauthenticated', 'COLLOQUY_URL is set without COLLOQUY_TOKEN: `colloquy token` prints one');
    return { remote: createRemote(settings.COLLOQUY_URL, settings.COLLOQUY_TOKEN), url: settings.COLLOQUY_URL };
  }
  const [service, credentials] = await Promise.all([
    json(join(settings.COLLOQUY_DATA, 'service.json')),
    json(join(settings.COLLOQUY_DATA, 'credentials.json')),
  ]);
  if (typeof service?.['url'] !== 'string' || typeof credentials?.['token'] !== 'string') return null;
  const url = service['url'];
  if (!(await answers(url))) return null;
  return { remote: createRemote(url, settings.COLLOQUY_TOKEN ?? credentials['token']), url };
}

/** A killed service leaves its file behind. */
async function answers(url: string): Promise<boolean> {
  return fetch(`${url}/health/live`, { signal: AbortSignal.timeout(LOOK_MS) }).then(
    async (answer) => {
      await answer.body?.cancel();
      return answer.ok;
    },
    () => false,
  );
}

async function withOwn<T>(
  settings: Settings,
  use: (reached: Reached) => Promise<T>,
  needs: Pick<EngineOptions, 'roles' | 'logAlone'>,
): Promise<T> {
  if (settings.DATABASE_URL === undefined && !existsSync(join(settings.COLLOQUY_DATA, 'pgdata')))
    throw new Refusal(
      'not-found',
      `no service runs and there is no data in ${settings.COLLOQUY_DATA}: start one with \`colloquy start\`, name its data folder with --data, or set COLLOQUY_URL and COLLOQUY_TOKEN`,
    );
  const [{ startService }, { createLogger }] = await Promise.all([
    import('../service.ts'),
    import('../../infra/logging.ts'),
  ]);
  const own = { ...settings, PORT: 0, HOST: '127.0.0.1' };
  const logger = createLogger(settings.LOG_LEVEL === 'warn' ? 'error' : settings.LOG_LEVEL);
  const service = await startService(own, logger, { ...needs, nextFreePort: false });
  try {
    return await use({ remote: createRemote(service.url, service.token), url: service.url, settings, running: false });
  } finally {
    await service.stop();
  }
}

async function json(path: string): Promise<Record<string, unknown> | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  } catch {
    return null;
  }
}
