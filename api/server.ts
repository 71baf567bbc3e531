/** The HTTP side put together: what surrounds the routes. Nothing here starts to listen (listen.ts does). */
import cors from 'cors';
import express, { type Express, type NextFunction, type Request, type Response, Router } from 'express';
import helmet from 'helmet';
import type { Registry } from 'prom-client';
import type { Authorizer, Clock, Ids, RequestCounts } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Telemetry } from '../domain/telemetry.ts';
import { noTracer, type Tracer } from '../domain/tracing.ts';
import type { Authenticate } from './authenticate.ts';
import { createDocsPage } from './docsPage.ts';
import { beginExchange, pathOf } from './exchange.ts';
import { createHttpMetrics, type HttpMetrics } from './metrics.ts';
import { createOpenApi, type MountedRoutes, type OpenApiDocument } from './openapi.ts';
import { problemOf } from './problem.ts';
import { createRateLimit, type RateLimitSettings } from './rateLimit.ts';
import { createReadBody } from './requestBody.ts';
import { beginRequestSpan, endRequestSpan } from './requestSpan.ts';
import { createRequestLog, logCause, type Logger } from './requestLog.ts';
import type { Route } from './route.ts';
import { mountRoutes } from './serve.ts';
import type { StreamTickets } from './streamTickets.ts';
import { type Health, systemRoutes } from './systemRoutes.ts';

export const API_PREFIX = '/api/v1';

export interface ApiLimits {
  /** Largest body, 256 KiB unless said. */
  readonly bodyBytes?: number;
  /** From a request's arrival to its answer, 30 s unless said; streams are not bound by it. */
  readonly deadlineMs?: number;
  /** Per principal; 1,200 a minute unless said. */
  readonly rate?: RateLimitSettings;
}

export interface ApiOptions {
  readonly routes: readonly Route[];
  readonly authenticate: Authenticate;
  readonly tickets: StreamTickets;
  readonly authorizer: Authorizer;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly registry: Registry;
  readonly telemetry: Telemetry;
  /** Where spans go, if anywhere. */
  readonly tracer?: Tracer;
  /** Good for /metrics alone. */
  readonly metricsToken?: string;
  readonly health: Health;
  /** Exact origins of other sites whose scripts may call, e.g. `https://console.example.org`. */
  readonly corsOrigins?: readonly string[];
  /** Addresses or subnets of proxies whose X-Forwarded-For is believed; none unless said. */
  readonly trustedProxies?: readonly string[];
  readonly limits?: ApiLimits;
  /** Counts requests over all processes; each counts on its own without it. */
  readonly counts?: RequestCounts;
  /** Checks every answer against its documented schema; for tests. */
  readonly checkResponses?: boolean;
}

export interface Api {
  readonly app: Express;
  readonly openapi: OpenApiDocument;
  /** The routers with their mount points, for the comparison with the document. */
  readonly routers: readonly { readonly prefix: string; readonly router: Router }[];
}

const DEFAULTS = { bodyBytes: 256 * 1024, deadlineMs: 30_000, rate: { requests: 1_200, windowMs: 60_000 } };

/** @throws Error when routes contradict each other or an origin is not one. */
export function createApi(options: ApiOptions): Api {
  const { registry } = options;
  const limits = { ...DEFAULTS, ...options.limits };
  const metrics = createHttpMetrics(options.telemetry);
  let document: object = {};
  const mounted: MountedRoutes[] = [
    { prefix: API_PREFIX, routes: options.routes },
    { prefix: '', routes: systemRoutes(options.health, registry, () => document, options.metricsToken) },
  ];
  const openapi = createOpenApi(mounted);
  document = openapi;

  const app = createApp(options.trustedProxies);
  app.use((req: Request, res: Response, next: NextFunction) => {
    observe(req, res, metrics, options);
    next();
  });
  app.use(createRequestLog(options.logger));
  app.use(secureHeaders());
  app.use(allowOrigins(options.corsOrigins ?? []));
  const serve = {
    ...options,
    countRequest: createRateLimit(limits.rate, options.clock, options.counts),
    readBody: createReadBody(limits.bodyBytes),
    metrics,
    deadlineMs: limits.deadlineMs,
    checkResponses: options.checkResponses ?? false,
  };
  const routers = mounted.map(({ prefix, routes }) => {
    const router = Router({ caseSensitive: true, strict: true });
    mountRoutes(router, prefix, routes, serve);
    app.use(prefix === '' ? '/' : prefix, router);
    return { prefix, router };
  });
  app.use('/docs', createDocsPage());
  app.use((req: Request) => {
    throw new Refusal('not-found', `there is nothing at ${pathOf(req).slice(0, 200)}`);
  });
  app.use(answerProblem);
  return { app, openapi, routers };
}

function createApp(trustedProxies: readonly string[] | undefined): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('case sensitive routing');
  app.enable('strict routing');
  // Queries are parsed once, in serve.ts.
  app.set('query parser', false);
  app.set('trust proxy', trustedProxies ?? false);
  return app;
}

/** Starts the exchange and counts it when it ends. */
function observe(req: Request, res: Response, metrics: HttpMetrics, options: ApiOptions): void {
  const { clock, ids, tracer = noTracer } = options;
  const span = beginRequestSpan(tracer, req);
  const exchange = beginExchange(req, res, clock, ids, span.traceparent);
  res.once('close', () => {
    endRequestSpan(span, req, res);
    if (String(res.getHeader('Content-Type')).startsWith('text/event-stream')) return;
    const status = res.writableFinished ? String(res.statusCode) : 'aborted';
    metrics.observe(req.method, exchange.route, status, (clock.monotonic() - exchange.startedMs) / 1000);
  });
}

function secureHeaders(): (req: Request, res: Response, next: NextFunction) => void {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"], frameAncestors: ["'none'"] },
    },
    strictTransportSecurity: { maxAge: 31_536_000, includeSubDomains: true },
    referrerPolicy: { policy: 'no-referrer' },
    xFrameOptions: { action: 'deny' },
  });
}

/** @throws Error for `*`, `null` and everything else that is not one origin exactly. */
function allowOrigins(origins: readonly string[]): (req: Request, res: Response, next: NextFunction) => void {
  for (const origin of origins)
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) throw new Error(`not an origin: ${origin}`);
  const answer = cors({
    origin: [...origins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: [
      'Authorization',
      'Content-Type',
      'Idempotency-Key',
      'If-Match',
      'If-None-Match',
      'Consistency-Token',
      'Prefer',
      'Request-Id',
      'Correlation-Id',
      'traceparent',
      'Last-Event-ID',
    ],
    exposedHeaders: [
      'ETag',
      'Location',
      'Link',
      'Request-Id',
      'Consistency-Token',
      'Idempotent-Replayed',
      'Retry-After',
      'RateLimit',
      'RateLimit-Policy',
      'Allow',
      'WWW-Authenticate',
    ],
    maxAge: 600,
  });
  return (req, res, next) => {
    res.vary('Origin');
    if (req.headers.origin === undefined) next();
    else answer(req, res, next);
  };
}

/** Whatever was thrown, as a problem; what is our fault goes to the log too. */
function answerProblem(error: unknown, req: Request, res: Response, _next: NextFunction): void {
  const { problem, headers, ours } = problemOf(error, {
    instance: pathOf(req),
    requestId: res.locals.exchange.requestId,
  });
  if (ours) logCause(res, error);
  // A stream that breaks has no place left for a problem: its end is all the client can be told.
  if (res.headersSent) return void res.destroy();
  for (const name of ['ETag', 'Consistency-Token', 'Idempotent-Replayed', 'Location']) res.removeHeader(name);
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  res.setHeader('Cache-Control', 'no-store');
  const text = JSON.stringify(problem);
  res.writeHead(problem.status, {
    'Content-Type': 'application/problem+json',
    'Content-Length': Buffer.byteLength(text),
  });
  res.end(text);
}
