/** One line a request: ids, who, what, how long. Never headers, queries or bodies: they carry tokens, tickets and texts. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Request, Response } from 'express';
import { type Options, pinoHttp } from 'pino-http';
import { pathOf } from './exchange.ts';

export type Logger = NonNullable<Options['logger']>;

/** @returns middleware; requests under /health are left out unless they fail. */
export function createRequestLog(logger: Logger): (req: Request, res: Response, next: () => void) => void {
  const log = pinoHttp<Request, Response>({
    logger,
    quietReqLogger: true,
    quietResLogger: true,
    customAttributeKeys: { reqId: 'requestId', responseTime: 'durationMs' },
    genReqId: (_req, res) => res.locals.exchange.requestId,
    // pino's own would print every header; `res` of a success is told by the fields below.
    wrapSerializers: false,
    serializers: { err: errorFields, res: () => undefined, req: () => undefined },
    customLogLevel: (req, res, error) => {
      // A probe comes every few seconds: that the process became ready, or is not any more, is told once, where it is found.
      if (res.statusCode === 503 && req.originalUrl.startsWith('/health/')) return 'debug';
      if (error !== undefined || res.err !== undefined || res.statusCode >= 500) return 'error';
      return req.originalUrl.startsWith('/health/') ? 'silent' : 'info';
    },
    customSuccessMessage: () => 'request',
    customErrorMessage: () => 'request failed',
    customSuccessObject: (req, res, value: { durationMs: number }) => fieldsOf(req, res, value.durationMs),
    customErrorObject: (req, res, error, value: { durationMs: number }) => ({
      ...fieldsOf(req, res, value.durationMs),
      err: error,
    }),
  });
  return log;
}

function fieldsOf(req: Request, res: Response, durationMs: number): object {
  const { correlationId, traceparent, principal, route } = res.locals.exchange;
  return {
    correlationId,
    traceparent,
    principal,
    method: req.method,
    path: pathOf(req).slice(0, 500),
    route,
    status: res.statusCode,
    left: res.writableFinished ? undefined : true,
    durationMs,
  };
}

/** What finds a bug, and no field that a driver may have filled with rows or addresses. */
function errorFields(error: unknown): object {
  if (!(error instanceof Error))
    return { message: typeof error === 'string' ? error : 'something else than an Error was thrown' };
  return {
    type: error.name,
    message: error.message,
    stack: error.stack,
    ...('code' in error && typeof error.code === 'string' ? { code: error.code } : {}),
    ...(error.cause === undefined ? {} : { cause: errorFields(error.cause) }),
  };
}

/** Exposes the cause of an answer that is our fault to the request's log line. */
export function logCause(res: ServerResponse<IncomingMessage>, error: unknown): void {
  res.err = error instanceof Error ? error : new Error('something else than an Error was thrown', { cause: error });
}
