/** A process of the service: the engine's parts that its mode names, behind HTTP. */
import { createAuthenticate, type Authenticate } from '../api/authenticate.ts';
import type { ApiContext } from '../api/context.ts';
import { startFeed } from '../api/feed.ts';
import { listen } from '../api/listen.ts';
import { createOpenStreams } from '../api/openStreams.ts';
import { createOperations } from '../api/operations.ts';
import type { Route } from '../api/route.ts';
import type { ApiAudit } from '../api/routes/audit.ts';
import { allRoutes } from '../api/routes.ts';
import { createApi, type Api } from '../api/server.ts';
import { createStreamTickets } from '../api/streamTickets.ts';
import type { Logger } from 'pino';
import type { Settings } from '../infra/config.ts';
import { createPostgresOperations } from '../infra/postgresOperations.ts';
import { createPostgresRequestCounts } from '../infra/postgresRequestCounts.ts';
import { createPostgresTickets } from '../infra/postgresTickets.ts';
import { createPrometheus, type Prometheus } from '../infra/prometheus.ts';
import { systemClock, systemIds } from '../infra/system.ts';
import { loadEmbeddedCredentials, loadTokens } from '../infra/tokens.ts';
import { openAudit, startAuditor } from './audit.ts';
import { openBackups, type OpenBackups } from './backups.ts';
import { startEngine, type EngineOptions, type RunningEngine } from './engine.ts';
import { healthOf, tellChanges } from './health.ts';
import { sampleReadiness } from './measured.ts';
import { rolesOf, type Mode } from './modes.ts';
import { openRebuilds } from './rebuilds.ts';
import { operatorReads } from './operatorReads.ts';

export interface Service {
  readonly url: string;
  readonly port: number;
  /** The administrator's token. */
  readonly token: string;
  readonly running: RunningEngine;
  /** What is served and what is documented. */
  readonly api: Pick<Api, 'routers' | 'openapi'>;
  /** Drains and closes everything, within 25 s. */
  stop(): Promise<void>;
}

export interface ServiceOptions extends EngineOptions {
  /** `start` unless said; a worker serves health and metrics only. */
  readonly mode?: Mode;
  /** Made already, where the storage was opened before. */
  readonly prometheus?: Prometheus;
  /** Takes the next free port when the one set is busy. */
  readonly nextFreePort: boolean;
}

/** Starts everything and listens. @throws Refusal when the settings or the data cannot be used. */
export async function startService(settings: Settings, logger: Logger, options: ServiceOptions): Promise<Service> {
  const { mode = 'start', prometheus = createPrometheus() } = options;
  const { registry, telemetry } = prometheus;
  const roles = options.roles ?? rolesOf(mode, settings);
  const running = await startEngine(settings, logger, prometheus, { ...options, roles });
  let backups: OpenBackups | null = null;
  try {
    backups = await openBackups(settings, running.storage, logger, telemetry);
    const { authenticate, token } = await openAuthentication(settings);
    const tickets = createStreamTickets(createPostgresTickets(running.storage.database), systemClock, systemIds);
    const audit = await openAudit(settings);
    const served =
      mode === 'worker'
        ? nothingServed()
        : await openApi(running, prometheus, tickets, logger, settings, { audit, ...backups });
    const stopping = { now: false };
    const api = createApi({
      routes: served.routes,
      authenticate,
      tickets,
      authorizer: running.engine.authorizer,
      clock: systemClock,
      ids: systemIds,
      logger,
      registry,
      telemetry,
      health: openHealth(running, stopping, prometheus, logger),
      ...httpOptions(settings, running),
    });
    const listening = await listen(api.app, {
      host: settings.HOST,
      port: settings.PORT,
      nextFreePort: options.nextFreePort,
      clock: systemClock,
      ids: systemIds,
      endStreams: () => served.endStreams(),
      drainMs: 5_000,
    });
    const to = { log: logger, telemetry };
    const auditor = roles.has('auditor') ? startAuditor(audit, running.storage.store, to) : null;
    return {
      url: listening.url,
      port: listening.port,
      token,
      running,
      api,
      async stop() {
        stopping.now = true;
        await Promise.all([served.stopOperations(), listening.drain(), running.workers.stop(), backups?.stop()]);
        served.stopFeed();
        await auditor?.stop();
        await running.stop();
      },
    };
  } catch (error) {
    await Promise.all([running.workers.stop(), backups?.stop()]);
    await running.stop();
    throw error;
  }
}

/** What the settings say of the HTTP side. */
function httpOptions(settings: Settings, { engine, storage }: RunningEngine) {
  return {
    ...(engine.tracer === undefined ? {} : { tracer: engine.tracer }),
    ...(settings.METRICS_TOKEN === undefined ? {} : { metricsToken: settings.METRICS_TOKEN }),
    corsOrigins: settings.CORS_ORIGINS,
    trustedProxies: settings.TRUSTED_PROXIES,
    // One process alone counts for itself.
    ...(storage.embedded === null ? { counts: createPostgresRequestCounts(storage.database) } : {}),
    limits: { rate: { requests: settings.RATE_LIMIT_PER_MINUTE, windowMs: 60_000 } },
  };
}

function openHealth(running: RunningEngine, stopping: { now: boolean }, prometheus: Prometheus, logger: Logger) {
  const health = tellChanges(healthOf(running, stopping, { bus: running.connected }), logger);
  sampleReadiness(prometheus, health);
  return health;
}

interface Served {
  readonly routes: readonly Route[];
  endStreams(): Promise<void>;
  stopOperations(): Promise<void>;
  stopFeed(): void;
}

async function openApi(
  running: RunningEngine,
  prometheus: Prometheus,
  tickets: ReturnType<typeof createStreamTickets>,
  logger: Logger,
  settings: Settings,
  { audit, backups }: { readonly audit: ApiAudit } & Pick<OpenBackups, 'backups'>,
): Promise<Served> {
  const { engine, bus, models, reads } = running;
  const { telemetry } = prometheus;
  const feed = await startFeed(engine, bus, logger);
  const streams = createOpenStreams(telemetry);
  const operations = createOperations(createPostgresOperations(running.storage.database), systemClock, systemIds);
  const ctx: ApiContext = {
    engine,
    feed,
    telemetry,
    library: models.library,
    ...reads,
    ...operatorReads({ storage: running.storage, settings, log: logger, gauges: prometheus, meaning: running.meaning }),
  };
  const rebuilds = openRebuilds(settings, running.storage, operations, { log: logger, meaning: running.meaning });
  return {
    routes: allRoutes(ctx, { streams, tickets, operations, audit, backups, projections: rebuilds.control }),
    endStreams: () => streams.end(),
    stopOperations() {
      rebuilds.stop();
      return operations.stop();
    },
    stopFeed: () => feed.stop(),
  };
}

function nothingServed(): Served {
  const nothing = () => Promise.resolve();
  return { routes: [], endStreams: nothing, stopOperations: nothing, stopFeed: () => undefined };
}

/** Verifies tokens signed with our key; the administrator's own one lives in the data folder. */
async function openAuthentication(settings: Settings): Promise<{ authenticate: Authenticate; token: string }> {
  const { COLLOQUY_DATA: dataDir, JWT_ISSUER: issuer, JWT_AUDIENCE: audience, JWT_SIGNING_KEY_FILE: file } = settings;
  const options = { dataDir, issuer, audience, ...(file === undefined ? {} : { signingKeyFile: file }) };
  const tokens = await loadTokens(options);
  const credentials = await loadEmbeddedCredentials(tokens, options);
  const { kid, algorithm, key } = tokens.signingKey;
  const keys = new Map([[kid, { algorithm, key }]]);
  const neverExpires = (tokenId: string) => credentials.isCurrent(tokenId);
  return {
    authenticate: createAuthenticate({ keys, issuer, audience, clock: systemClock, neverExpires }),
    token: credentials.token,
  };
}
