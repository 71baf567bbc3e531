/** The whole service in this process with parts that a test can break, and what Prometheus would see of it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pino from 'pino';
import type { Clock, EventStore } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import { readSettings, type Settings } from '../../infra/config.ts';
import { createPrometheus, type Prometheus } from '../../infra/prometheus.ts';
import { readModels } from '../../projections/readModels.ts';
import { sampleLag, sampleOpenTurns } from '../../scripts/measured.ts';
import { openModels } from '../../scripts/models.ts';
import { startService, type Service } from '../../scripts/service.ts';
import { openStorage, type Storage } from '../../scripts/storage.ts';
import { postgresForTests } from '../services.ts';
import { wallClock } from '../standins/wallClock.ts';
import { createScriptedModel, type ScriptedModel } from '../workers/scriptedModel.ts';

export const POOL = 4;
const METRICS_TOKEN = 'a-secret-of-the-tests-for-metrics-alone';

/** Values by series as Prometheus writes them: `name{label="value"}`. */
export type Scrape = ReadonlyMap<string, number>;

export interface AlertScene {
  readonly settings: Settings;
  readonly service: Service;
  readonly prometheus: Prometheus;
  readonly storage: Storage;
  readonly models: ScriptedModel;
  /** Switches of what is broken, and how far the clock that ages are measured by is ahead. */
  readonly faults: { logAway: boolean; aheadMs: number };
  /** What Prometheus would store, `up` with it. */
  scrape(): Promise<Scrape>;
  /** Scrapes until it shows what is waited for. */
  scrapeUntil(shows: (scrape: Scrape) => boolean): Promise<Scrape>;
  /** The status of a request by the administrator, or by whoever has the token. */
  call(method: string, path: string, body?: unknown, token?: string): Promise<{ status: number; id: string }>;
  /** Opens a discussion of two agents with the scripted model. */
  talk(model: string): Promise<string>;
  stop(): Promise<void>;
}

/** Everything but the relay runs: no wake-up reaches a turn, which only the look into the read models finds. */
export async function startAlertScene(): Promise<AlertScene> {
  const database = await postgresForTests();
  const dataDir = await mkdtemp(join(tmpdir(), 'colloquy-alerts-'));
  const settings = readSettings({
    PORT: '0',
    COLLOQUY_DATA: dataDir,
    DATABASE_URL: database.url,
    DATABASE_POOL: String(POOL),
    OLLAMA_URL: 'http://127.0.0.1:9',
    RATE_LIMIT_PER_MINUTE: '100000',
    METRICS_TOKEN,
    BACKUP_STORE: join(dataDir, 'backups'),
    BACKUP_EVERY: '24h',
  });
  const logger = pino({ level: 'silent' });
  const prometheus = createPrometheus();
  const faults = { logAway: false, aheadMs: 0 };
  const opened = await openStorage(settings, logger, prometheus.telemetry);
  const storage = { ...opened, store: breakable(opened.store, faults) };
  const models = createScriptedModel();
  const service = await startService(settings, logger, {
    storage: Promise.resolve(storage),
    prometheus,
    models: { ...openModels(settings), providers: new Map([['offline', models]]) },
    roles: new Set(['projector', 'sweeper', 'turns', 'auditor']),
    workers: { sweepMs: 250, retryMs: 20, drainMs: 300, circuit: { pauseMs: 60_000 } },
    nextFreePort: false,
  });
  // Ages are seen by a clock that can be put ahead; what is sampled last is shown.
  const clock: Clock = { ...wallClock, now: () => Date.now() + faults.aheadMs };
  const { knex } = storage.database;
  sampleOpenTurns(prometheus, storage.database, clock);
  sampleLag(prometheus, { knex, store: opened.store, clock, projections: readModels, gapless: true });

  const scrape = () => scraped(service.url);
  const call = callerOf(service);
  return {
    ...{ settings, service, prometheus, storage, models, faults, scrape, call },
    async scrapeUntil(shows) {
      for (;;) {
        const seen = await scrape();
        if (shows(seen)) return seen;
        await delay(50);
      }
    },
    talk: (name) => openTalk(call, name),
    async stop() {
      await service.stop();
      await database.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function callerOf(service: Service): AlertScene['call'] {
  return async (method, path, body, token = service.token) => {
    const answer = await fetch(`${service.url}/api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const { id = '' } = (await answer.json()) as { id?: string };
    return { status: answer.status, id };
  };
}

async function openTalk(call: AlertScene['call'], name: string): Promise<string> {
  const model = { provider: 'offline', name };
  const agents = [1, 2].map((n) => call('POST', '/agents', { name: `A${n}`, instructions: 'Speak.', model }));
  const participants = (await Promise.all(agents)).map(({ id }) => ({ agentId: id }));
  const body = { title: 'T', topic: 'What then?', participants, limits: { maxTurns: 4 } };
  return (await call('POST', '/discussions', body)).id;
}

function breakable(store: EventStore, faults: { readonly logAway: boolean }): EventStore {
  const append: EventStore['append'] = async (...given) => {
    if (faults.logAway) throw new Refusal('unavailable', 'the log is away', { retryable: true });
    return await store.append(...given);
  };
  return { ...store, append };
}

/** Empty but for `up` when nobody answers. */
async function scraped(url: string): Promise<Scrape> {
  const headers = { Authorization: `Bearer ${METRICS_TOKEN}` };
  const answer = await fetch(`${url}/metrics`, { headers, signal: AbortSignal.timeout(10_000) }).catch(() => null);
  const text = answer?.ok === true ? await answer.text() : null;
  const values = new Map([['up{}', text === null ? 0 : 1]]);
  for (const [, name = '', labels = '', value = ''] of (text ?? '').matchAll(/^([a-z_]+)(?:\{(.*)\})? (\S+)$/gm))
    if (!name.endsWith('_bucket')) values.set(`${name}{${labels}}`, Number(value));
  return values;
}
