/** The servers under a cluster: a real PostgreSQL, a real nats-server, and EventStoreDB, real where EVENTSTORE_URL is set. */
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { loadEmbeddedCredentials, loadTokens } from '../../infra/tokens.ts';
import { findNatsProgram } from '../../test/natsServer.ts';
import { freePort, preparePostgres } from '../../test/postgresServer.ts';
import { environmentWith, eventStoreForTests } from '../../test/services.ts';
import { NOWHERE, ollamaPlan, weaviatePlan } from './meaningServers.ts';
import type { ProcessPlan } from './supervise.ts';

const LOOK_MS = 1_000;

export interface ServerPlans {
  readonly plans: readonly ProcessPlan[];
  /** Settings by which our processes find them, and each other's keys. */
  readonly env: Readonly<Record<string, string>>;
  readonly addresses: Readonly<Record<'database' | 'nats' | 'eventStore' | 'weaviate', string>>;
  /** What a person should know about them. */
  readonly notes: readonly string[];
  readonly cleanUp: readonly (() => Promise<void>)[];
  /** The administrator's token, made with the key that all processes share. */
  token(): Promise<string>;
}

/** Where a cluster keeps its log. */
export type LogServer = 'eventstoredb' | 'postgres';

/**
 * @param home folder for data and logs.
 * @param embedder whether what is said is embedded. Rejects when a program cannot be found.
 */
export async function serverPlans(home: string, log: LogServer, embedder: boolean): Promise<ServerPlans> {
  const environment = environmentWith({});
  const searchPath = environment['PATH'] ?? '';
  const postgres = await preparePostgres(searchPath);
  const nats = await findNatsProgram(searchPath);
  const natsPort = await freePort();
  const natsUrl = `nats://127.0.0.1:${natsPort}`;
  const eventStore = log === 'postgres' ? NO_EVENT_STORE : await eventStorePlan(home);
  const dataDir = join(home, 'data');
  const tokens = { dataDir, issuer: 'colloquy', audience: 'colloquy' };
  const credentials = await loadEmbeddedCredentials(await loadTokens(tokens), tokens);
  const weaviate = embedder ? await weaviatePlan(home, searchPath) : NOT_ASKED_FOR;
  const ollama = embedder ? await ollamaPlan(home, environment) : { ...NOT_ASKED_FOR, url: NOWHERE };
  const plans: ProcessPlan[] = [
    {
      name: 'postgres',
      program: postgres.program,
      args: postgres.args,
      ...postgres.spawn,
      logFile: join(postgres.home, 'log'),
      ready: () => answersPostgres(postgres.url),
      stopSignal: 'SIGINT',
    },
    {
      name: 'nats',
      program: nats.path,
      args: ['-js', '-a', '127.0.0.1', '-p', String(natsPort), '-sd', join(home, 'nats')],
      cwd: home,
      logFile: join(home, 'logs', 'nats.log'),
      ready: () => accepts(natsPort),
      stopSignal: 'SIGTERM',
    },
    ...[eventStore, weaviate, ollama].flatMap(({ plan }) => plan ?? []),
  ];
  return {
    plans,
    env: {
      DATABASE_URL: postgres.url,
      NATS_URL: natsUrl,
      // Empty counts as unset.
      EVENTSTORE_URL: eventStore.url,
      COLLOQUY_DATA: dataDir,
      WEAVIATE_URL: weaviate.url,
      OLLAMA_URL: ollama.url,
    },
    addresses: { database: postgres.url, nats: natsUrl, eventStore: eventStore.url, weaviate: weaviate.url },
    notes: [
      ...[`PostgreSQL: ${postgres.origin}`, `NATS: ${nats.origin}`, `EventStoreDB: ${eventStore.origin}`],
      ...[`vectors: ${weaviate.origin}`, `Ollama: ${ollama.origin}`],
    ],
    cleanUp: [() => rm(postgres.home, { recursive: true, force: true, maxRetries: 3 })],
    token: () => Promise.resolve(credentials.token),
  };
}

/** A server that may be left out, or be there already. */
export interface OptionalPlan {
  readonly url: string;
  readonly origin: string;
  readonly plan: ProcessPlan | null;
}

const NOT_ASKED_FOR: OptionalPlan = { url: '', origin: 'not asked for', plan: null };
const NO_EVENT_STORE: OptionalPlan = { url: '', origin: 'none, the log is in PostgreSQL', plan: null };

async function eventStorePlan(home: string): Promise<OptionalPlan> {
  const real = eventStoreForTests();
  if (real !== null) return { url: real.url, origin: 'the server of EVENTSTORE_URL', plan: null };
  const root = join(import.meta.dirname, '..', '..');
  const port = await freePort();
  const main = 'test/standins/eventstoredbMain.ts';
  return {
    url: `esdb://127.0.0.1:${port}?tls=false`,
    origin: 'the stand-in of test/standins (set EVENTSTORE_URL for a real one)',
    plan: {
      name: 'eventstoredb',
      program: process.execPath,
      args: ['--import', 'tsx', main, '--port', String(port), '--data', join(home, 'eventstoredb.ndjson')],
      cwd: root,
      logFile: join(home, 'logs', 'eventstoredb.log'),
      ready: () => accepts(port),
      stopSignal: 'SIGTERM',
    },
  };
}

async function answersPostgres(connectionString: string): Promise<boolean> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: LOOK_MS, query_timeout: LOOK_MS });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } finally {
    await client.end().catch(() => undefined);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: LOOK_MS });
    const done = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => done(true));
    socket.once('timeout', () => done(false));
    socket.once('error', () => done(false));
  });
}
