/** `colloquy start|api|worker`: a process of the service until it is asked to end, and what it tells the person who started it. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSettings, type Settings } from '../infra/config.ts';
import { createLogger } from '../infra/logging.ts';
import { createPrometheus } from '../infra/prometheus.ts';
import { box } from './box.ts';
import { importedInto } from './imported.ts';
import { checkModes, rolesOf, type Mode, type Role } from './modes.ts';
import type { Service } from './service.ts';
import { openStorage } from './storage.ts';

/** A drain has this long; then the process ends all the same. */
const STOP_MS = 25_000;

export interface StartOptions {
  /** Hold a demo discussion on an empty log; all-in-one only. */
  readonly demo?: boolean;
  readonly port?: number;
  readonly data?: string;
}

/** Runs until SIGINT or SIGTERM; a second signal ends it at once. @throws Refusal when it cannot start. */
export async function start(mode: Mode, options: StartOptions): Promise<void> {
  const startedMs = performance.now();
  const settings = readSettings({
    ...(options.port === undefined ? {} : { PORT: String(options.port) }),
    ...(options.data === undefined ? {} : { COLLOQUY_DATA: options.data }),
  });
  checkModes(mode, settings);
  const logger = createLogger(settings.LOG_LEVEL);
  const stopped = whenAsked();
  // The database opens in its own thread while the rest of the program is loaded here.
  const prometheus = createPrometheus();
  const storage = openStorage(settings, logger, prometheus.telemetry);
  storage.catch(() => undefined);
  const { startService } = await import('./service.ts');
  const imported = settings.DATABASE_URL === undefined ? importedInto(settings.COLLOQUY_DATA) : null;
  const service = await startService(settings, logger, {
    ...{ mode, nextFreePort: mode === 'start', storage, prometheus },
    ...(imported === null ? {} : { roles: new Set<Role>(['projector']) }),
  });
  if (settings.PORT !== 0 && service.port !== settings.PORT)
    console.error(`port ${settings.PORT} is busy: using ${service.port}`);
  const serviceFile = join(settings.COLLOQUY_DATA, 'service.json');
  // Several processes may share a folder for their keys: only the one that is all in one is found by it.
  if (mode === 'start')
    await writeFile(serviceFile, `${JSON.stringify({ url: service.url, pid: process.pid })}\n`, { mode: 0o600 });
  const startMs = Math.round(performance.now() - startedMs);
  const shown = mode === 'start' ? await linesOfAll(service, startMs) : lines(mode, service, settings, startMs);
  console.error(
    box(imported === null ? shown : ['IMPORTED, TO BE LOOKED AT: nothing can be written here', '', ...shown]),
  );
  if (mode === 'start' && options.demo === true && imported === null) {
    const { holdDemoDiscussion } = await import('./demoDiscussion.ts');
    await holdDemoDiscussion(service.running.engine).catch((error: unknown) =>
      logger.error({ err: error }, 'the demo discussion could not be opened'),
    );
  }
  await stopped;
  console.error('stopping: streams are told, running turns get a moment to end …');
  if (mode === 'start') await rm(serviceFile, { force: true });
  await service.stop();
  console.error(`stopped; everything is kept in ${service.running.storage.where}`);
  process.exit(0);
}

function whenAsked(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = () => {
      if (asked) process.exit(1);
      asked = true;
      // Also when it is still starting.
      setTimeout(() => process.exit(1), STOP_MS).unref();
      resolve();
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}

function lines(mode: Mode, { url, running }: Service, settings: Settings, startMs: number): string[] {
  const ready = `colloquy ${mode} is ready after ${(startMs / 1000).toFixed(1)} s`;
  const kept = `data     ${running.storage.where}`;
  if (mode === 'api') return [ready, '', `API      ${url}/api/v1`, `docs     ${url}/docs`, kept];
  const roles = [...rolesOf(mode, settings)].join(', ');
  return [ready, '', `does     ${roles}`, `health   ${url}/health/ready`, `metrics  ${url}/metrics`, kept];
}

async function linesOfAll(service: Service, startMs: number): Promise<string[]> {
  const { url, token, running } = service;
  const models = await running.models.describe();
  return [
    `Colloquy is ready after ${(startMs / 1000).toFixed(1)} s`,
    '',
    `API      ${url}/api/v1`,
    `docs     ${url}/docs`,
    `stream   ${url}/api/v1/stream`,
    `metrics  ${url}/metrics`,
    `data     ${running.storage.where}`,
    ...models.map((line, i) => `${i === 0 ? 'models ' : '       '}  ${line}`),
    '',
    'Try:',
    `export TOKEN=${token}`,
    `curl -s -H "Authorization: Bearer $TOKEN" ${url}/api/v1/discussions`,
    `curl -N -H "Authorization: Bearer $TOKEN" ${url}/api/v1/stream`,
    'npm run demo -- --topic "Is this licence right for us?" --document LICENSE',
  ];
}
