/** What is known of one request and its answer from the first middleware on. */
import type { Request, Response } from 'express';
import type { Clock, Ids } from '../domain/ports.ts';
import { saneId } from './requestHeaders.ts';

export interface Exchange {
  /** The client's Request-Id when it is a sane one, else ours. */
  readonly requestId: string;
  /** The client's Correlation-Id when it is a sane one, else the request id: it ends in the metadata of every event. */
  readonly correlationId: string;
  /** What everything done for this request continues. */
  readonly traceparent: string | undefined;
  readonly startedMs: number;
  /** Path template of the matched route, a label of metrics: never the path itself, which has no bounds. */
  route: string;
  /** `<kind>:<id>` once authenticated: what rate limits count by, and what the log shows. */
  principal: string | undefined;
}

declare module 'express-serve-static-core' {
  interface Locals {
    exchange: Exchange;
  }
}

/** The first step of every request. */
export function beginExchange(
  req: Request,
  res: Response,
  clock: Clock,
  ids: Ids,
  traceparent: string | undefined,
): Exchange {
  const requestId = saneId(req.headers['request-id']) ?? ids.next();
  const exchange: Exchange = {
    requestId,
    correlationId: saneId(req.headers['correlation-id']) ?? requestId,
    traceparent,
    startedMs: clock.monotonic(),
    route: 'unmatched',
    principal: undefined,
  };
  res.locals.exchange = exchange;
  res.setHeader('Request-Id', requestId);
  return exchange;
}

/** The path as the client sent it, without the query: queries carry tickets and search texts. */
export function pathOf(req: { originalUrl: string }): string {
  const query = req.originalUrl.indexOf('?');
  return query < 0 ? req.originalUrl : req.originalUrl.slice(0, query);
}
