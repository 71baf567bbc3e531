import { z } from 'zod';
import type { ModelLibrary } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import { lineOfText } from '../../domain/text.ts';
import type { Operations } from '../operations.ts';
import { defineRoute, type Route } from '../route.ts';
import { exampleOperation, operationSchema } from './operations.ts';

const stored = z.strictObject({
  provider: z.string(),
  name: z.string(),
  digest: z.string().nullable(),
  sizeBytes: z.int().nullable(),
});
const storedExample = { provider: 'ollama', name: 'smollm2:135m', digest: 'sha256:9f4b2e', sizeBytes: 98363007 };
const described = z
  .strictObject({
    provider: z.string(),
    name: z.string(),
    digest: z.string().nullable(),
    contextTokens: z.int(),
    defaultContextTokens: z.int(),
    controlTokens: z.array(z.string()),
    capabilities: z.array(z.string()),
  })
  .meta({ id: 'Model' });
const describedExample = {
  provider: 'ollama',
  name: 'smollm2:135m',
  digest: 'sha256:9f4b2e',
  contextTokens: 8192,
  defaultContextTokens: 4096,
  controlTokens: ['<|im_start|>', '<|im_end|>'],
  capabilities: ['completion'],
};
const running = z.strictObject({
  ...stored.shape,
  contextTokens: z.int().nullable(),
  expiresAt: z.string().nullable(),
});
const nameSchema = lineOfText(200);
const common = { tags: ['models'], auth: 'bearer' } as const;

/** The built-in model and those of the Ollama server: list, show, running, pull, delete. */
export function modelRoutes(library: ModelLibrary | null, operations: Operations): Route[] {
  return [listRoute(library), ...readRoutes(library), ...writeRoutes(library, operations)];
}

const offline = { provider: 'offline', name: 'offline', digest: null, sizeBytes: null };

function needed(library: ModelLibrary | null): ModelLibrary {
  if (library === null)
    throw new Refusal('unavailable', 'no model server is set up: set OLLAMA_URL', { retryable: false });
  return library;
}

function listRoute(library: ModelLibrary | null): Route {
  return defineRoute({
    ...common,
    method: 'get',
    path: '/models',
    operationId: 'listModels',
    summary: 'Models that agents can use; `reachable` says whether the Ollama server answered',
    action: 'read',
    problems: [],
    responses: {
      200: {
        description: 'All of them',
        schema: z.strictObject({
          data: z.array(stored),
          ollama: z.strictObject({ reachable: z.boolean(), detail: z.string().nullable() }),
        }),
        example: { data: [offline, storedExample], ollama: { reachable: true, detail: null } },
      },
    },
    async handler() {
      try {
        const models = library === null ? [] : await library.list();
        return { body: { data: [offline, ...models], ollama: { reachable: library !== null, detail: null } } };
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        return { body: { data: [offline], ollama: { reachable: false, detail: error.message } } };
      }
    },
  });
}

function readRoutes(library: ModelLibrary | null): Route[] {
  return [
    defineRoute({
      ...common,
      method: 'get',
      path: '/models/running',
      operationId: 'listRunningModels',
      summary: 'Models that the Ollama server has loaded',
      action: 'read',
      problems: ['unavailable'],
      responses: {
        200: {
          description: 'Loaded now',
          schema: z.strictObject({ data: z.array(running) }),
          example: { data: [{ ...storedExample, contextTokens: 4096, expiresAt: '2025-01-31T12:30:00.000Z' }] },
        },
      },
      handler: async () => ({ body: { data: await needed(library).running() } }),
    }),
    defineRoute({
      ...common,
      method: 'get',
      path: '/models/{name}',
      operationId: 'getModel',
      summary: 'One model of the Ollama server',
      action: 'read',
      params: z.strictObject({ name: nameSchema }),
      problems: ['not-found', 'unavailable'],
      responses: { 200: { description: 'The model', schema: described, example: describedExample } },
      async handler({ params }) {
        const { provider, name, digest, contextTokens, defaultContextTokens, controlTokens, capabilities } =
          await needed(library).show(params.name);
        return {
          body: {
            provider,
            name,
            digest,
            contextTokens,
            defaultContextTokens,
            controlTokens: [...controlTokens],
            capabilities: [...capabilities],
          },
        };
      },
    }),
  ];
}

function writeRoutes(library: ModelLibrary | null, operations: Operations): Route[] {
  return [
    defineRoute({
      ...common,
      method: 'post',
      path: '/models/pull',
      operationId: 'pullModel',
      summary: 'Have the Ollama server fetch a model; follow the operation for its progress',
      action: 'administer',
      body: z.strictObject({ name: nameSchema }),
      bodyExample: { name: 'smollm2:135m' },
      problems: ['forbidden', 'not-found', 'unavailable', 'rate-limited'],
      responses: { 202: { description: 'Begun', schema: operationSchema, example: exampleOperation } },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'model' });
        const from = needed(library);
        const operation = await operations.start('model-pull', async (report, signal) => {
          for await (const { status, done, total } of from.pull(request.body.name, { signal }))
            report(done, total, status);
          return { name: request.body.name };
        });
        return { status: 202, body: operation, headers: { Location: `/api/v1/operations/${operation.id}` } };
      },
    }),
    defineRoute({
      ...common,
      method: 'delete',
      path: '/models/{name}',
      operationId: 'deleteModel',
      summary: 'Delete a model from the Ollama server',
      action: 'administer',
      params: z.strictObject({ name: nameSchema }),
      problems: ['forbidden', 'not-found', 'unavailable'],
      responses: { 204: { description: 'Deleted' } },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'model' });
        await needed(library).remove(request.params.name);
        return { status: 204 };
      },
    }),
  ];
}
