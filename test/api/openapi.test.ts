import { Ajv2020 } from 'ajv/dist/2020.js';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { createOpenApi } from '../../api/openapi.ts';
import { defineRoute } from '../../api/route.ts';
import { auditRoutes } from '../../api/routeAudit.ts';
import { suite } from '../harness.ts';
import { problemIn, startApi, type TestApi } from './apiForTests.ts';

const test = suite('api document');
let api: TestApi;

test.before(async () => {
  api = await startApi();
});
test.after(async () => {
  await api.drain();
});

interface Media {
  schema: object;
  example?: unknown;
  examples?: Record<string, { value: unknown }>;
}
interface Operation {
  operationId: string;
  parameters?: { $ref?: string; name?: string; in?: string; required?: boolean; schema?: object }[];
  requestBody?: { content: Record<string, Media> };
  responses: Record<string, { description: string; content?: Record<string, Media> }>;
  security: unknown[];
}
interface Document {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
  components: Record<string, Record<string, object>>;
}

const served = async (): Promise<Document> => (await (await fetch(`${api.url}/openapi.json`)).json()) as Document;
const operations = (document: Document): [string, Operation][] =>
  Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]): [string, Operation] => [`${method} ${path}`, operation]),
  );

test('what is served is what is documented', () => {
  assert.equal(auditRoutes(api), []);
});

test('control: an undocumented route, a phantom and missing examples are found', () => {
  const [first] = api.routers;
  assert.ok(first);
  first.router.get('/hidden/:id', (_req, res) => void res.end());
  const openapi = structuredClone(api.openapi);
  Object.assign(openapi.paths ?? {}, {
    '/phantom': { get: { responses: { 200: { content: { 'application/json': {} } } } } },
  });
  assert.equal(auditRoutes({ routers: api.routers, openapi }), [
    'GET /api/v1/hidden/{id} is served but not documented',
    'GET /phantom is documented but not served',
    'GET /phantom has no summary or operationId',
    'GET /phantom documents no problem',
    'GET /phantom has a body of application/json without an example',
  ]);
  first.router.stack.pop();
});

test('it is OpenAPI 3.1: structure, references, parameters, ids', async () => {
  const document = await served();
  assert.match(document.openapi, /^3\.1\.\d$/);
  assert.ok(document.info.title && document.info.version);
  const text = JSON.stringify(document);
  assert.not.match(text, /\$defs|nullable/);
  for (const [, kind, name] of text.matchAll(/"\$ref":"#\/components\/(\w+)\/([\w-]+)"/g))
    assert.ok(document.components[kind ?? '']?.[name ?? ''], `${kind}/${name} is there`);
  assert.not.match(text, /"\$ref":"(?!#\/components\/)/);
  const ids = operations(document).map(([, { operationId }]) => operationId);
  assert.is(new Set(ids).size, ids.length);
  for (const [name, operation] of operations(document)) {
    const inPath = (operation.parameters ?? []).filter((one) => one.in === 'path');
    const wanted = [...name.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter);
    assert.equal(inPath.map((one) => one.name).sort(), wanted.sort(), name);
    assert.ok(
      inPath.every((one) => one.required),
      name,
    );
    assert.ok(Array.isArray(operation.security), name);
    for (const [status, { description }] of Object.entries(operation.responses))
      assert.ok(/^\d{3}$/.test(status) && description, name);
  }
});

test('every schema is JSON Schema 2020-12 and every example fits its own', async () => {
  const document = await served();
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema({ $id: 'openapi', components: document.components });
  const absolute = (schema: object): object =>
    JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"openapi#/components')) as object;
  for (const [name, operation] of operations(document)) {
    for (const { schema } of operation.parameters ?? []) if (schema) assert.ok(ajv.compile(absolute(schema)));
    const medias = [operation.requestBody, ...Object.values(operation.responses)].flatMap((one) =>
      Object.entries(one?.content ?? {}),
    );
    for (const [type, media] of medias) {
      const fits = ajv.compile(absolute(media.schema));
      const examples = media.examples ? Object.values(media.examples).map(({ value }) => value) : [media.example];
      for (const example of examples) assert.ok(fits(example), `${name} ${type}: ${ajv.errorsText(fits.errors)}`);
    }
  }
});

test('numbers in queries are numbers, recursive schemas end, ids become components', async () => {
  const document = await served();
  const list = document.paths['/api/v1/things']?.['get'];
  const limit = list?.parameters?.find((one) => one.name === 'limit');
  assert.equal(limit, {
    name: 'limit',
    in: 'query',
    required: false,
    schema: { default: 50, type: 'integer', minimum: 1, maximum: 200 },
  });
  const one = document.paths['/api/v1/things/{id}']?.['get'];
  assert.equal(one?.responses['200']?.content?.['application/json']?.schema, { $ref: '#/components/schemas/Thing' });
  assert.ok(document.components['schemas']?.['Recursive']);
});

test('routes that contradict themselves or each other are refused at start', () => {
  const base = {
    method: 'get',
    operationId: 'x',
    summary: 's',
    tags: [],
    auth: 'bearer',
    action: 'read',
    problems: [],
  } as const;
  const responses = { 200: { description: 'd', schema: z.strictObject({}), example: {} } };
  const handler = () => null;
  const ok = defineRoute({ ...base, path: '/x', responses, handler });
  assert.throws(() => createOpenApi([{ prefix: '', routes: [ok, ok] }]), /two routes are called x/);
  assert.throws(() => defineRoute({ ...base, path: '/x/{id}', responses, handler }), /name different parameters/);
  assert.throws(
    () => defineRoute({ ...base, path: '/x', responses, handler, query: z.object({ a: z.string() }) }),
    /not strict/,
  );
  const loose = z.strictObject({ list: z.array(z.object({ a: z.string() })).optional() });
  assert.throws(
    () => defineRoute({ ...base, method: 'post', path: '/x', responses, handler, body: loose, bodyExample: {} }),
    /not strict/,
  );
  assert.throws(
    () => defineRoute({ ...base, method: 'post', path: '/x', responses, handler, body: z.strictObject({}) }),
    /no example/,
  );
  assert.throws(() => defineRoute({ ...base, path: '/x', responses: {}, handler }), /no response/);
  assert.throws(
    () => defineRoute({ ...base, path: '/x', responses: { 200: { description: 'd', schema: z.string() } }, handler }),
    /no example/,
  );
});

test('the docs page works without any other host', async () => {
  const answer = await fetch(`${api.url}/docs`);
  assert.is(answer.status, 200);
  const html = await answer.text();
  assert.not.match(html, /https?:\/\/|<script>|onload=/);
  for (const [, asset] of html.matchAll(/(?:src|href)="([^"#]+)"/g)) {
    const got = await fetch(new URL(asset ?? '', api.url));
    assert.is(got.status, 200, asset);
    assert.ok((await got.arrayBuffer()).byteLength > 100, asset);
    assert.is(got.headers.get('x-content-type-options'), 'nosniff');
  }
  assert.match(answer.headers.get('content-security-policy') ?? '', /default-src 'none';script-src 'self';/);
  await problemIn(await fetch(`${api.url}/docs/package.json`), 404, 'not-found');
  await problemIn(await fetch(`${api.url}/docs/..%2fpackage.json`), 404, 'not-found');
});

test.run();
