/** From a route to express: who asks, how often, with what, until when; then the answer. */
import { parse } from 'node:querystring';
import type { Request, Response, Router } from 'express';
import type { Authorizer, Clock } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { type Authenticate, type Authenticated, anonymousActor } from './authenticate.ts';
import { pathOf } from './exchange.ts';
import type { HttpMetrics } from './metrics.ts';
import { ProtocolRefusal } from './problem.ts';
import type { CountRequest } from './rateLimit.ts';
import { hasBody, type ReadBody, requirePlain } from './requestBody.ts';
import { consistencyTokenOf, idempotencyKeyOf, ifMatchOf, preferWaitMsOf } from './requestHeaders.ts';
import { onlyReads, takesIdempotencyKey, type RequestContext, type Route } from './route.ts';
import { sendAnswer } from './sendAnswer.ts';
import type { StreamTickets } from './streamTickets.ts';

export interface ServeOptions {
  readonly authenticate: Authenticate;
  readonly tickets: StreamTickets;
  readonly authorizer: Authorizer;
  readonly clock: Clock;
  readonly countRequest: CountRequest;
  readonly readBody: ReadBody;
  readonly metrics: HttpMetrics;
  /** From a request's arrival to its answer, streams excepted. */
  readonly deadlineMs: number;
  /** Whether bodies are checked against the documented schemas before they leave (for tests: it costs time). */
  readonly checkResponses: boolean;
}

/**
 * Mounts routes on a router. Literal segments go before parameters whatever the order given; a path without the
 * method asked for answers 405 with `Allow`.
 * @param prefix where the router itself is mounted, for metrics.
 */
export function mountRoutes(router: Router, prefix: string, routes: readonly Route[], options: ServeOptions): void {
  const paths = [...new Set(routes.map((route) => route.path))];
  for (const path of paths.toSorted((a, b) => (literalFirst(a) < literalFirst(b) ? -1 : 1))) {
    const here = routes.filter((route) => route.path === path);
    const mounted = router.route(path.replaceAll(/\{([a-zA-Z]+)\}/g, ':$1'));
    for (const route of here)
      mounted[route.method](async (req: Request, res: Response) => {
        res.locals.exchange.route = prefix + path;
        await serve(route, req, res, options);
      });
    const methods = here.flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]));
    const Allow = [...methods, 'OPTIONS'].join(', ');
    mounted.all((req: Request, res: Response) => {
      res.locals.exchange.route = prefix + path;
      if (req.method === 'OPTIONS') return void res.writeHead(204, { Allow }).end();
      throw new ProtocolRefusal('method-not-allowed', `use one of ${Allow}`, { Allow });
    });
  }
}

function literalFirst(path: string): string {
  return path.replaceAll('{', '\uffff');
}

async function serve(route: Route, req: Request, res: Response, options: ServeOptions): Promise<void> {
  const query: Record<string, unknown> = queryOf(req);
  const who = await identify(route, req, query, options).catch(async (error: unknown) => {
    if (error instanceof Refusal && error.code === 'unavailable') throw error;
    options.metrics.authenticationFailed();
    // Guessing is counted too, by address: nobody is known yet.
    await options.countRequest(req, res);
    throw error;
  });
  if (route.auth !== 'none') res.locals.exchange.principal = `${who.actor.kind}:${who.actor.id}`;
  if (route.rateLimited !== false) await options.countRequest(req, res);
  requirePlain(query, 'query');
  requirePlain(req.params, 'path');
  const takesBody = req.method === 'POST' || req.method === 'PATCH' || req.method === 'PUT';
  if (!takesBody && hasBody(req)) throw new Refusal('invalid', `${req.method} takes no body here`);
  const leaving = watchLeaving(res);
  const work = async (): Promise<void> => {
    const body = takesBody ? await options.readBody(req, res) : undefined;
    const context = contextOf(route, req, res, { ...who, rawBody: body }, leaving, options);
    const answer = await route.handle(context, { params: req.params, query, body });
    // Too late when the deadline has passed or the client has gone: a handler may end because its signal was aborted.
    if (answer !== null && !leaving.over()) sendAnswer(route, answer, req, res, options.checkResponses);
  };
  if (route.auth === 'stream') await work();
  else await withDeadline(work(), leaving, options);
}

function queryOf(req: Request): Record<string, unknown> {
  const start = req.originalUrl.indexOf('?');
  return start < 0 ? {} : parse(req.originalUrl.slice(start + 1));
}

/** Takes a stream's ticket out of the query: it is spent here, and no schema or log shall see it. */
async function identify(
  route: Route,
  req: Request,
  query: Record<string, unknown>,
  options: ServeOptions,
): Promise<Authenticated> {
  if (route.auth === 'none') return { actor: anonymousActor, expiresAt: null };
  const own = route.ownCredential?.(req.headers.authorization) ?? null;
  if (own !== null) return { actor: own, expiresAt: null };
  const { ticket } = query;
  if (route.auth !== 'stream' || ticket === undefined || req.headers.authorization !== undefined)
    return await options.authenticate(req.headers.authorization);
  delete query['ticket'];
  return await options.tickets.redeem(typeof ticket === 'string' ? ticket : '', pathOf(req));
}

function contextOf(
  route: Route,
  req: Request,
  res: Response,
  who: Authenticated & { rawBody: unknown },
  leaving: Leaving,
  { authorizer, metrics }: ServeOptions,
): RequestContext {
  const { requestId, correlationId, traceparent } = res.locals.exchange;
  const { headers } = req;
  const reads = onlyReads(route);
  const ifMatch = reads ? undefined : ifMatchOf(headers);
  if (ifMatch !== undefined && !route.path.includes('{'))
    throw new Refusal('invalid', 'If-Match means nothing here: there is no resource yet');
  return {
    actor: who.actor,
    expiresAt: who.expiresAt,
    requestId,
    correlationId,
    traceparent,
    idempotencyKey: takesIdempotencyKey(route) ? idempotencyKeyOf(headers) : undefined,
    ifMatch,
    consistencyToken: reads ? consistencyTokenOf(headers) : undefined,
    preferWaitMs: preferWaitMsOf(headers),
    rawBody: who.rawBody,
    get signal() {
      return leaving.signal();
    },
    async authorize(object) {
      if (await authorizer.may(who.actor, route.action, object)) return;
      metrics.authorizationDenied(route.action);
      if (route.action === 'read' || !(await authorizer.may(who.actor, 'read', object)))
        throw new Refusal('not-found', `there is no such ${object.kind}`);
      throw new Refusal('forbidden', `your role does not allow to ${route.action} this ${object.kind}`);
    },
    req,
    res,
  };
}

interface Leaving {
  signal(): AbortSignal;
  over(): boolean;
  abort(): void;
}

/** An AbortSignal made only when somebody asks for it: most handlers end before it could matter. */
function watchLeaving(res: Response): Leaving {
  let controller: AbortController | undefined;
  let aborted = false;
  const abort = (): void => {
    aborted = true;
    controller?.abort();
  };
  res.once('close', () => {
    if (!res.writableFinished) abort();
  });
  return {
    signal() {
      controller ??= new AbortController();
      if (aborted) controller.abort();
      return controller.signal;
    },
    over: () => aborted,
    abort,
  };
}

async function withDeadline(work: Promise<void>, leaving: Leaving, { clock, deadlineMs }: ServeOptions): Promise<void> {
  const done = new AbortController();
  const late = clock.sleep(deadlineMs, done.signal).then(() => {
    if (done.signal.aborted) return;
    leaving.abort();
    throw new Refusal(
      'unavailable',
      'this took too long and may still happen; repeat a write with the same Idempotency-Key',
    );
  });
  try {
    await Promise.race([work, late]);
  } finally {
    // With a reason of its own: else an error with its stack is made for every request (2 % of its time).
    done.abort('done');
  }
}
