/** The whole service on a database of its own, called over real HTTP; every answer is held against the OpenAPI document. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import pino from 'pino';
import * as assert from 'uvu/assert';
import type { Actor } from '../../domain/ports.ts';
import { readSettings } from '../../infra/config.ts';
import { loadTokens } from '../../infra/tokens.ts';
import { startService, type Service } from '../../scripts/service.ts';
import { postgresForTests } from '../services.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed when it is JSON, else undefined. */
  readonly body: Body;
}

/** Whatever a JSON answer holds; read what the test is about. */
export interface Body {
  readonly [field: string]: unknown;
  readonly id: string;
  readonly revision: number;
  readonly code: string;
  readonly detail: string;
  readonly data: Record<string, unknown>[];
  readonly nextCursor: string | null;
  readonly errors: { pointer: string; code: string; detail: string }[];
}

export interface Call {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** The administrator's unless said; null for none. */
  readonly token?: string | null;
}

export interface TestService {
  readonly url: string;
  readonly service: Service;
  readonly databaseUrl: string;
  /** @param path below /api/v1 unless it begins with `//`. */
  call(method: string, path: string, options?: Call): Promise<Reply>;
  get(path: string, options?: Call): Promise<Reply>;
  post(path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Reply>;
  /** A token of 5 minutes. */
  mint(actor: Actor): Promise<string>;
  /** Ends the service and starts it again on the same data. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Sends what a test asks, and holds each answer against the document. */
function caller(
  at: () => { service: Service; check: Awaited<ReturnType<typeof createAnswerCheck>> },
): TestService['call'] {
  return async (method, path, { body, headers = {}, token } = {}) => {
    const { service, check } = at();
    const bearer = token === undefined ? service.token : token;
    const given = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
    const answer = await fetch(service.url + (path.startsWith('//') ? path.slice(1) : `/api/v1${path}`), {
      method,
      headers: {
        ...(bearer === null ? {} : { Authorization: `Bearer ${bearer}` }),
        ...(given === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...headers,
      },
      ...(given === undefined ? {} : { body: given }),
    });
    const text = await answer.text();
    const json = /[/+]json/.test(answer.headers.get('content-type') ?? '');
    const parsed: unknown = json ? JSON.parse(text) : undefined;
    check(method, new URL(answer.url).pathname, answer, parsed);
    return { status: answer.status, headers: answer.headers, body: parsed as Body };
  };
}

/** @param more settings by their names in the environment. */
export async function startServiceForTests(more: Readonly<Record<string, string>> = {}): Promise<TestService> {
  const database = await postgresForTests();
  const dataDir = await mkdtemp(join(tmpdir(), 'colloquy-test-'));
  const settings = readSettings({
    PORT: '0',
    COLLOQUY_DATA: dataDir,
    DATABASE_URL: database.url,
    OLLAMA_URL: 'http://127.0.0.1:9',
    RATE_LIMIT_PER_MINUTE: '100000',
    BACKUP_STORE: join(dataDir, 'backups'),
    LOG_LEVEL: 'silent',
    // Embedding every message with the built-in model would be most of the work: who tests that asks for it.
    WORKER_ROLES: 'projector,relay,sweeper,turns,auditor',
    ...more,
  });
  const start = () => startService(settings, pino({ level: 'silent' }), { nextFreePort: false });
  let service = await start();
  let check = await createAnswerCheck(service.url);
  const call = caller(() => ({ service, check }));
  return {
    get url() {
      return service.url;
    },
    get service() {
      return service;
    },
    databaseUrl: database.url,
    call,
    get: (path, options) => call('GET', path, options),
    post: (path, body, headers = {}) => call('POST', path, { body, headers }),
    async mint(actor) {
      const tokens = await loadTokens({ dataDir, issuer: settings.JWT_ISSUER, audience: settings.JWT_AUDIENCE });
      return tokens.mint(actor);
    },
    async restart() {
      await service.stop();
      service = await start();
      check = await createAnswerCheck(service.url);
    },
    async stop() {
      await service.stop();
      await database.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

export interface DocumentedOperation {
  readonly operationId: string;
  readonly method: string;
  readonly path: string;
  readonly takesBody: boolean;
}

interface OpenApi {
  readonly paths: Record<string, Record<string, { operationId: string; requestBody?: object; responses: Responses }>>;
}
type Responses = Record<string, { content?: Record<string, { schema: object }> }>;

/** Every operation of the served document. */
export async function documentedOperations(url: string): Promise<DocumentedOperation[]> {
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as OpenApi;
  return Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, { operationId, requestBody }]) => ({
      operationId,
      method: method.toUpperCase(),
      path,
      takesBody: requestBody !== undefined,
    })),
  );
}

type AnswerCheck = (method: string, path: string, answer: Response, body: unknown) => void;

/** Fails for a status, a media type or a body that the document does not name for the operation. */
async function createAnswerCheck(url: string): Promise<AnswerCheck> {
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as OpenApi;
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const absolute = JSON.stringify(document).replaceAll('"#/components', '"openapi#/components');
  ajv.addSchema(JSON.parse(absolute) as object, 'openapi');
  // Literal paths before those with parameters, as the router does.
  const templates = Object.keys(document.paths).sort((a, b) => Number(a.includes('{')) - Number(b.includes('{')));
  return (method, path, answer, body) => {
    const template = templates.find((each) => new RegExp(`^${each.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path));
    const operation = document.paths[template ?? '']?.[method.toLowerCase()];
    const what = `${method} ${path} ${answer.status} ${JSON.stringify(body)?.slice(0, 600)}`;
    assert.ok(answer.headers.get('request-id'), what);
    if (answer.status >= 400) assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/);
    if (operation === undefined || answer.status === 304) return;
    const response = operation.responses[String(answer.status)];
    assert.ok(response, `documented: ${what}`);
    const type = (answer.headers.get('content-type') ?? '').split(';')[0] ?? '';
    const media = Object.entries(response.content ?? {}).find(([each]) => each.split(';')[0] === type);
    if (body === undefined) return;
    assert.ok(media, `media type ${type}: ${what}`);
    const at = ['paths', template, method.toLowerCase(), 'responses', String(answer.status), 'content', media[0]];
    const pointer = [...at, 'schema'].map((step) =>
      encodeURIComponent(String(step).replaceAll('~', '~0').replaceAll('/', '~1')),
    );
    const fits = ajv.getSchema(`openapi#/${pointer.join('/')}`);
    assert.ok(fits?.(body), `${what}: ${ajv.errorsText(fits?.errors)}`);
  };
}

/** What stands in the log now: a refused request must not move it. */
export async function logHead({ service }: TestService): Promise<bigint> {
  return service.running.storage.store.head();
}
