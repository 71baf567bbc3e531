/** The OpenAPI 3.1 document, made from the routes that are served. */
import { OpenAPIRegistry, OpenApiGeneratorV31 } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { createSchemaCollector, type SchemaCollector } from './jsonSchema.ts';
import { type ProblemCode, problemKinds, problemOf, problemSchema, ProtocolRefusal } from './problem.ts';
import { Refusal } from '../domain/refusal.ts';
import { onlyReads, takesIdempotencyKey, type Route } from './route.ts';

export type OpenApiDocument = ReturnType<OpenApiGeneratorV31['generateDocument']>;

/** A mount point and what is served under it. */
export interface MountedRoutes {
  readonly prefix: string;
  readonly routes: readonly Route[];
}

/** @throws Error when two routes share an operationId. */
export function createOpenApi(mounted: readonly MountedRoutes[]): OpenApiDocument {
  const registry = new OpenAPIRegistry();
  const schemas = createSchemaCollector();
  const seen = new Set<string>();
  for (const { prefix, routes } of mounted)
    for (const route of routes) {
      if (seen.has(route.operationId)) throw new Error(`two routes are called ${route.operationId}`);
      seen.add(route.operationId);
      registry.registerPath(operationOf(prefix, route, schemas));
    }
  schemas.convert(problemSchema, 'output');
  for (const [name, schema] of Object.entries(schemas.components()))
    registry.registerComponent('schemas', name, schema);
  for (const [name, header] of Object.entries(headers)) registry.registerComponent('headers', name, header);
  for (const [name, parameter] of Object.entries(parameters)) registry.registerComponent('parameters', name, parameter);
  registry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' });
  registry.registerComponent('securitySchemes', 'ticket', {
    type: 'apiKey',
    in: 'query',
    name: 'ticket',
    description: 'One use, at most 30 s old, from POST /api/v1/stream-tickets',
  });
  return new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: '3.1.0',
    info: {
      title: 'Colloquy',
      version: '1',
      description:
        'Event-sourced discussions between LLM agents and people. Errors are RFC 9457 problems, listed at /docs/problems.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
  });
}

const text = (description: string) => ({ description, schema: { type: 'string' as const } });

const headers = {
  'Request-Id': text('Yours when it was a sane one, else ours; quote it to operators'),
  ETag: text('"r<revision>": send it as If-Match with a change, as If-None-Match with a read'),
  'Consistency-Token': text('Send it with a read to see at least this write'),
  'Idempotent-Replayed': text('"true" when the command had been done before under the same key'),
  'Retry-After': text('Seconds to wait'),
  Allow: text('Methods of the resource'),
  'WWW-Authenticate': text('RFC 6750'),
};

const parameters = {
  RequestId: { name: 'Request-Id', in: 'header' as const, ...text('8-100 of A-Z a-z 0-9 . _ -') },
  CorrelationId: { name: 'Correlation-Id', in: 'header' as const, ...text('Kept in every event that follows') },
  Traceparent: { name: 'traceparent', in: 'header' as const, ...text('W3C Trace Context') },
  IdempotencyKey: {
    name: 'Idempotency-Key',
    in: 'header' as const,
    description: 'Repeating a request with its key never does it twice; keys never expire',
    schema: { type: 'string' as const, pattern: '^[\\x21-\\x7e]{1,200}$' },
  },
  IfMatch: {
    name: 'If-Match',
    in: 'header' as const,
    description: 'Only at this revision',
    schema: { type: 'string' as const, pattern: '^"r(0|[1-9][0-9]{0,14})"$' },
  },
  IfNoneMatch: { name: 'If-None-Match', in: 'header' as const, ...text('Answer 304 when nothing has changed') },
  ConsistencyToken: { name: 'Consistency-Token', in: 'header' as const, ...text('Of an earlier write') },
  Prefer: {
    name: 'Prefer',
    in: 'header' as const,
    ...text('wait=N: seconds to wait for the projection, 2 unless said, at most 20'),
  },
};

type Operation = Parameters<OpenAPIRegistry['registerPath']>[0];
type Parameter =
  | { $ref: string }
  | { name: string; in: 'path' | 'query' | 'header'; required: boolean; schema: Record<string, unknown> };
type Responses = Operation['responses'];

function operationOf(prefix: string, route: Route, schemas: SchemaCollector): Operation {
  const security = { bearer: [{ bearer: [] }], stream: [{ bearer: [] }, { ticket: [] }], none: [] }[route.auth];
  return {
    method: route.method,
    path: prefix + route.path,
    operationId: route.operationId,
    summary: route.summary,
    tags: [...route.tags],
    security,
    'x-action': route.action,
    parameters: [
      ...fieldsOf(route.params, 'path', schemas),
      ...fieldsOf(route.query, 'query', schemas),
      ...fieldsOf(route.headers, 'header', schemas),
      ...commonParameters(route),
    ],
    ...(route.body ? { requestBody: requestBodyOf(route.body, route.bodyExample, schemas) } : {}),
    responses: { ...answersOf(route, schemas), ...problemsOf(route, prefix + route.path) },
  };
}

function requestBodyOf(schema: z.ZodType, example: unknown, schemas: SchemaCollector) {
  return {
    required: !schema.safeParse(undefined).success,
    content: { 'application/json': { schema: schemas.convert(schema, 'input'), example } },
  };
}

function fieldsOf(
  schema: z.ZodType | undefined,
  place: 'path' | 'query' | 'header',
  schemas: SchemaCollector,
): Parameter[] {
  if (!(schema instanceof z.ZodObject)) return [];
  return Object.entries(schema.shape as Record<string, z.ZodType>).map(([name, field]) => ({
    name,
    in: place,
    required: place === 'path' || !field.safeParse(undefined).success,
    // zod leaves a default out where a preprocessing step stands before it.
    schema: {
      ...schemas.convert(field, 'input'),
      ...(field instanceof z.ZodDefault ? { default: field.def.defaultValue } : {}),
    },
  }));
}

function commonParameters(route: Route): Parameter[] {
  const names: (keyof typeof parameters)[] = ['RequestId', 'CorrelationId', 'Traceparent'];
  if (takesIdempotencyKey(route)) names.push('IdempotencyKey');
  if (route.method === 'get') names.push('IfNoneMatch');
  if (onlyReads(route)) names.push('ConsistencyToken', 'Prefer');
  else if (route.path.includes('{')) names.push('IfMatch');
  return names.map((name) => ({ $ref: `#/components/parameters/${name}` }));
}

const headerRefs = (...names: (keyof typeof headers)[]) =>
  Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));

function answersOf(route: Route, schemas: SchemaCollector): Responses {
  const sent = onlyReads(route)
    ? headerRefs('Request-Id', ...(route.method === 'get' ? (['ETag'] as const) : []))
    : headerRefs('Request-Id', 'ETag', 'Consistency-Token', 'Idempotent-Replayed');
  const answers: Responses = {};
  for (const [status, { description, schema, example, contentType = 'application/json' }] of Object.entries(
    route.responses,
  ))
    answers[status] = {
      description,
      headers: sent,
      ...(schema ? { content: { [contentType]: { schema: schemas.convert(schema, 'output'), example } } } : {}),
    };
  if (route.method === 'get' && route.auth !== 'stream')
    answers['304'] = { description: 'Nothing has changed since the ETag', headers: sent };
  return answers;
}

/** The problems a route can answer: its own, and those every route of its kind has. */
export function problemCodesOf(route: Route): ProblemCode[] {
  const codes = new Set<ProblemCode>([...route.problems, 'invalid', 'internal', 'unavailable']);
  if (route.rateLimited !== false) codes.add('rate-limited');
  if (route.auth !== 'none') codes.add('unauthenticated').add('forbidden');
  if (route.method !== 'get' && route.method !== 'delete') codes.add('too-large').add('unsupported-media-type');
  return [...codes];
}

function problemsOf(route: Route, path: string): Responses {
  const all = problemCodesOf(route);
  const responses: Responses = {};
  for (const status of new Set(all.map((code) => problemKinds[code].status))) {
    const codes = all.filter((code) => problemKinds[code].status === status);
    responses[String(status)] = {
      description: codes.map((code) => `\`${code}\`: ${problemKinds[code].title}`).join('; '),
      headers: headerRefs(
        'Request-Id',
        ...(status === 401 ? (['WWW-Authenticate'] as const) : []),
        ...(status === 429 || status === 503 ? (['Retry-After'] as const) : []),
      ),
      content: {
        'application/problem+json': {
          schema: { $ref: '#/components/schemas/Problem' },
          examples: Object.fromEntries(codes.map((code) => [code, { value: exampleOf(code, path) }])),
        },
      },
    };
  }
  return responses;
}

function exampleOf(code: ProblemCode, instance: string) {
  const error =
    code === 'method-not-allowed' || code === 'unsupported-media-type'
      ? new ProtocolRefusal(code, problemKinds[code].advice)
      : new Refusal(code, problemKinds[code].advice);
  return problemOf(error, { instance, requestId: '01890a5d-ac96-774b-bcce-b302099a8057' }).problem;
}
