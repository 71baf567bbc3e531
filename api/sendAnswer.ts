import type { Request, Response } from 'express';
import { matchesNone } from './requestHeaders.ts';
import type { Answer, ResponseSpec, Route } from './route.ts';

/**
 * Writes a handler's answer, or 304 when the client has it already. Straight to node's response: express' `json` makes
 * an ETag of its own and looks the type up every time.
 * @throws Error when the answer is not one the route documents (under `check`: nor its body).
 */
export function sendAnswer(route: Route, answer: Answer, req: Request, res: Response, check: boolean): void {
  const status = answer.status ?? Number(Object.keys(route.responses)[0]);
  const spec = route.responses[status];
  if (spec === undefined) throw new Error(`${route.operationId} answered ${status}, which it does not document`);
  for (const [name, value] of Object.entries(answer.headers ?? {})) res.setHeader(name, value);
  if (answer.consistencyToken !== undefined) res.setHeader('Consistency-Token', answer.consistencyToken);
  if (answer.replayed === true) res.setHeader('Idempotent-Replayed', 'true');
  if (answer.revision !== undefined) res.setHeader('ETag', `"r${answer.revision}"`);
  const etag = res.getHeader('ETag');
  const cacheable = route.method === 'get' && typeof etag === 'string';
  // A client may keep what has an ETag but must ask each time; everything else is of the moment.
  if (!res.hasHeader('Cache-Control')) res.setHeader('Cache-Control', cacheable ? 'private, no-cache' : 'no-store');
  if (cacheable && !matchesNone(req.headers, etag)) return void res.writeHead(304).end();
  if (spec.schema === undefined) return void res.writeHead(status).end();
  if (check) requireDocumented(route, status, spec, answer.body);
  const text = spec.contentType === undefined ? JSON.stringify(answer.body) : String(answer.body);
  res.writeHead(status, {
    'Content-Type': spec.contentType ?? 'application/json',
    'Content-Length': Buffer.byteLength(text),
  });
  res.end(text);
}

function requireDocumented(route: Route, status: number, { schema }: ResponseSpec, body: unknown): void {
  const result = schema?.safeParse(body);
  if (result && !result.success)
    throw new Error(`${route.operationId} ${status} does not fit its schema: ${result.error.message}`);
}
