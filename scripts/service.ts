/** The whole service in one process: log, read models, workers, API. */
import { createAuthenticate, type Authenticate } from '../api/authenticate.ts';
import type { ApiContext } from '../api/context.ts';
import { startFeed } from '../api/feed.ts';
import { listen } from '../api/listen.ts';
import { createOpenStreams } from '../api/openStreams.ts';
import { createOperations } from '../api/operations.ts';
import { allRoutes } from '../api/routes.ts';
import { createApi } from '../api/server.ts';
import { createStreamTickets } from '../api/streamTickets.ts';
import type { Logger } from 'pino';
import type { Settings } from '../infra/config.ts';
import { createPrometheus } from '../infra/prometheus.ts';
import { systemClock, systemIds } from '../infra/system.ts';
import { loadEmbeddedCredentials, loadTokens } from '../infra/tokens.ts';
import { startEngine, type EngineOptions, type RunningEngine } from './engine.ts';
import { healthOf } from './health.ts';

export interface Service {
  readonly url: string;
  readonly port: number;
  /** The administrator's token. */
  readonly token: string;
  readonly running: RunningEngine;
  /** Drains and closes everything, within 25 s. */
  stop(): Promise<void>;
}

/** Starts everything and listens. @throws Refusal when the settings or the data cannot be used. */
export async function startService(
  settings: Settings,
  logger: Logger,
  options: { nextFreePort: boolean } & EngineOptions,
): Promise<Service> {
  const { registry, telemetry } = createPrometheus();
  const running = await startEngine(settings, logger, telemetry, options);
  try {
    const { engine, bus, models, reads } = running;
    const feed = await startFeed(engine, bus, logger);
    const { authenticate, token } = await openAuthentication(settings);
    const streams = createOpenStreams(telemetry);
    const tickets = createStreamTickets(systemClock, systemIds);
    const operations = createOperations(systemClock, systemIds);
    const ctx: ApiContext = { engine, feed, telemetry, library: models.library, ...reads };
    const stopping = { now: false };
    const api = createApi({
      routes: allRoutes(ctx, { streams, tickets, operations }),
      authenticate,
      tickets,
      authorizer: engine.authorizer,
      clock: systemClock,
      ids: systemIds,
      logger,
      registry,
      health: healthOf(running, stopping),
      corsOrigins: settings.CORS_ORIGINS,
      limits: { rate: { requests: settings.RATE_LIMIT_PER_MINUTE, windowMs: 60_000 } },
    });
    const listening = await listen(api.app, {
      host: settings.HOST,
      port: settings.PORT,
      nextFreePort: options.nextFreePort,
      clock: systemClock,
      ids: systemIds,
      endStreams: () => streams.end(),
      drainMs: 5_000,
    });
    return {
      url: listening.url,
      port: listening.port,
      token,
      running,
      async stop() {
        stopping.now = true;
        operations.stop();
        await Promise.all([listening.drain(), running.workers.stop()]);
        feed.stop();
        await running.stop();
      },
    };
  } catch (error) {
    await running.workers.stop();
    await running.stop();
    throw error;
  }
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
