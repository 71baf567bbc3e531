/** `colloquy start`: the service, a box that says where everything is, and a short demo discussion on an empty log. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSettings } from '../infra/config.ts';
import { createLogger } from '../infra/logging.ts';
import { box } from './box.ts';
import type { Service } from './service.ts';
import { openStorage } from './storage.ts';

/** A drain has this long; then the process ends all the same. */
const STOP_MS = 25_000;

/** Runs until SIGINT or SIGTERM; a second signal ends it at once. @throws Refusal when it cannot start. */
export async function start(options: { demo: boolean; port?: number; data?: string }): Promise<void> {
  const startedMs = performance.now();
  const overrides = {
    ...(options.port === undefined ? {} : { PORT: String(options.port) }),
    ...(options.data === undefined ? {} : { COLLOQUY_DATA: options.data }),
  };
  const settings = readSettings(overrides);
  const logger = createLogger(settings.LOG_LEVEL);
  const stopped = whenAsked();
  // The database opens in its own thread while the rest of the program is loaded here.
  const storage = openStorage(settings, logger);
  storage.catch(() => undefined);
  const { startService } = await import('./service.ts');
  const service = await startService(settings, logger, { nextFreePort: true, storage });
  const serviceFile = join(settings.COLLOQUY_DATA, 'service.json');
  await writeFile(serviceFile, `${JSON.stringify({ url: service.url, pid: process.pid })}\n`, { mode: 0o600 });
  if (settings.PORT !== 0 && service.port !== settings.PORT)
    console.error(`port ${settings.PORT} is busy: using ${service.port}`);
  console.error(box(await lines(service, Math.round(performance.now() - startedMs))));
  const { holdDemoDiscussion } = await import('./demoDiscussion.ts');
  if (options.demo)
    await holdDemoDiscussion(service.running.engine).catch((error: unknown) =>
      logger.error({ err: error }, 'the demo discussion could not be opened'),
    );
  await stopped;
  console.error('stopping: streams are told, running turns get a moment to end …');
  setTimeout(() => process.exit(1), STOP_MS).unref();
  await rm(serviceFile, { force: true });
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
      resolve();
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}

async function lines(service: Service, startMs: number): Promise<string[]> {
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
