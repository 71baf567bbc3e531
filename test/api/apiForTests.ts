/** The HTTP side around sample routes, on an ephemeral port. The routes also show how one is written. */
import { createSecretKey } from 'node:crypto';
import { Writable } from 'node:stream';
import jwt from 'jsonwebtoken';
import pino from 'pino';
import type { Registry } from 'prom-client';
import { createAuthenticate } from '../../api/authenticate.ts';
import { listen, type ListenOptions, type Listening } from '../../api/listen.ts';
import type { Problem } from '../../api/problem.ts';
import { streamTicketRoutes } from '../../api/routes/streamTickets.ts';
import { type Api, type ApiOptions, createApi } from '../../api/server.ts';
import { createStreamTickets } from '../../api/streamTickets.ts';
import { createCasbinAuthorizer } from '../../infra/casbinAuthorizer.ts';
import { createPrometheus } from '../../infra/prometheus.ts';
import { systemClock, systemIds } from '../../infra/system.ts';
import { createMemoryTickets } from '../standins/memoryTickets.ts';
import { sampleRoutes, type Signals } from './sampleRoutes.ts';

export const ISSUER = 'colloquy';
export const AUDIENCE = 'colloquy-api';
export const KID = 'test-1';
export const SECRET = 'a-secret-of-the-tests-with-enough-bytes-in-it';
export const EMBEDDED_TOKEN_ID = 'embedded-for-tests';

export interface TestApi extends Api, Listening {
  /** Lines of the log, parsed. */
  readonly log: Record<string, unknown>[];
  readonly registry: Registry;
  readonly signals: Signals;
  readonly get: (path: string, init?: RequestInit) => Promise<Response>;
  readonly post: (path: string, body: unknown, headers?: Record<string, string>) => Promise<Response>;
}

/** An access token of five minutes; `claims` and `header` replace what is usual. */
export function tokenFor(claims: object = {}, options: jwt.SignOptions = {}): string {
  return jwt.sign(
    {
      sub: 'ada',
      kind: 'user',
      grants: [{ project: '*', role: 'administrator' }],
      iss: ISSUER,
      aud: AUDIENCE,
      ...claims,
    },
    SECRET,
    { algorithm: 'HS256', keyid: KID, expiresIn: 300, header: { alg: 'HS256', typ: 'at+jwt' }, ...options },
  );
}

/** @param more replaces options of createApi; @param listening those of listen. Call `drain` at the end. */
export async function startApi(
  more: Partial<ApiOptions> = {},
  listening: Partial<ListenOptions> = {},
): Promise<TestApi> {
  const log: Record<string, unknown>[] = [];
  const signals = { aborted: 0 };
  const { registry, telemetry } = createPrometheus();
  const tickets = createStreamTickets(createMemoryTickets(systemClock), systemClock, systemIds);
  const api = createApi({
    routes: [...sampleRoutes(signals), ...streamTicketRoutes(tickets)],
    authenticate: createAuthenticate({
      keys: new Map([[KID, { algorithm: 'HS256', key: createSecretKey(Buffer.from(SECRET)) }]]),
      issuer: ISSUER,
      audience: AUDIENCE,
      clock: systemClock,
      neverExpires: (tokenId) => tokenId === EMBEDDED_TOKEN_ID,
    }),
    tickets,
    authorizer: await createCasbinAuthorizer(),
    clock: systemClock,
    ids: systemIds,
    logger: pino({ level: 'info' }, linesInto(log)),
    registry,
    telemetry,
    health: { live: () => true, ready: async () => ({ ready: true, checks: { log: { ok: true } } }) },
    checkResponses: true,
    ...more,
  });
  const server = await listen(api.app, {
    host: '127.0.0.1',
    port: 0,
    clock: systemClock,
    ids: systemIds,
    ...listening,
  });
  const bearer = `Bearer ${tokenFor()}`;
  const get = async (path: string, init: RequestInit = {}): Promise<Response> =>
    await fetch(server.url + path, {
      ...init,
      headers: { Authorization: bearer, ...(init.headers as Record<string, string>) },
    });
  return {
    ...api,
    ...server,
    log,
    registry,
    signals,
    get,
    post: async (path, body, headers = {}) =>
      await get(path, {
        method: 'POST',
        body: typeof body === 'string' ? body : JSON.stringify(body),
        headers: { 'Content-Type': 'application/json', ...headers },
      }),
  };
}

function linesInto(log: Record<string, unknown>[]): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      log.push(JSON.parse(chunk.toString()) as Record<string, unknown>);
      done();
    },
  });
}

/** The problem in an answer, after checking what every problem has. */
export async function problemIn(answer: Response, status: number, code: string): Promise<Problem> {
  const body = (await answer.json()) as Problem;
  const seen = `${answer.status} ${JSON.stringify(body)}`;
  if (answer.status !== status || body.status !== status || body.code !== code)
    throw new Error(`expected ${status} ${code}, got ${seen}`);
  if (answer.headers.get('content-type') !== 'application/problem+json')
    throw new Error(`not a problem document: ${seen}`);
  if (body.requestId !== answer.headers.get('request-id')) throw new Error(`the request ids differ: ${seen}`);
  if (body.type !== `/docs/problems#${code}` || !body.title || !body.detail) throw new Error(`incomplete: ${seen}`);
  if (/node_modules|\.ts\b|SELECT/.test(JSON.stringify(body))) throw new Error(`it tells too much: ${seen}`);
  return body;
}
