import type { Request, Response } from 'express';
import { noTracer, type Span, type Tracer } from '../domain/tracing.ts';
import { pathOf } from './exchange.ts';
import { traceparentOf } from './requestHeaders.ts';

/** The span of a request, which continues the client's; probes and scrapes have none. */
export function beginRequestSpan(tracer: Tracer, req: Request): Span {
  const worthIt = !pathOf(req).startsWith('/health/') && pathOf(req) !== '/metrics';
  return (worthIt ? tracer : noTracer).begin(req.method, {
    kind: 'server',
    parent: traceparentOf(req.headers),
    attributes: { 'http.request.method': req.method },
  });
}

/** Named by the route's template: paths hold ids, queries hold texts and tickets. */
export function endRequestSpan(span: Span, req: Request, res: Response): void {
  const { route, requestId, correlationId } = res.locals.exchange;
  span.rename(`${req.method} ${route}`);
  span.set({
    'http.route': route,
    'http.response.status_code': res.statusCode,
    'colloquy.request.id': requestId,
    'colloquy.correlation.id': correlationId,
  });
  if (!res.writableFinished) span.end('aborted');
  else span.end(res.statusCode >= 500 ? String(res.statusCode) : undefined);
}
