import { z } from 'zod';
import type { Operation } from '../../domain/operation.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { Operations } from '../operations.ts';
import { defineRoute, type Route } from '../route.ts';

export const operationSchema = z
  .strictObject({
    id: z.uuid(),
    kind: z.string(),
    status: z.enum(['queued', 'running', 'succeeded', 'failed', 'cancelled']),
    progress: z.strictObject({
      done: z.number(),
      total: z.number(),
      rate: z.number(),
      etaSeconds: z.int().nullable(),
      note: z.string(),
    }),
    result: z.json(),
    error: z.strictObject({ code: z.string(), detail: z.string() }).nullable(),
    startedAt: z.iso.datetime(),
  })
  .meta({ id: 'Operation' });

export const exampleOperation = {
  id: '0195f1c5-26f0-7c5a-b49d-246f1a4c3f4a',
  kind: 'model-pull',
  status: 'running' as const,
  progress: { done: 1048576, total: 98363007, rate: 5242880, etaSeconds: 19, note: 'pulling' },
  result: null,
  error: null,
  startedAt: '2025-01-31T12:00:00.000Z',
};

/** Long work: look at it, cancel it. */
export function operationRoutes(operations: Operations): Route[] {
  const common = {
    tags: ['operations'],
    auth: 'bearer',
    params: z.strictObject({ id: z.uuid() }),
    problems: ['not-found'],
  } as const;
  const found = (operation: Operation | null) => {
    if (operation === null) throw new Refusal('not-found', 'there is no such operation');
    return operation;
  };
  return [
    listRoute(operations),
    defineRoute({
      ...common,
      method: 'get',
      path: '/operations/{id}',
      operationId: 'getOperation',
      summary: 'How far long work is',
      action: 'administer',
      responses: { 200: { description: 'The operation', schema: operationSchema, example: exampleOperation } },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'operation' });
        return { body: found(await operations.get(request.params.id)) };
      },
    }),
    defineRoute({
      ...common,
      method: 'delete',
      path: '/operations/{id}',
      operationId: 'cancelOperation',
      summary: 'Ask long work to stop; it does within a second',
      action: 'administer',
      responses: { 202: { description: 'Asked', schema: operationSchema, example: exampleOperation } },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'operation' });
        return { body: found(await operations.cancel(request.params.id)) };
      },
    }),
  ];
}

function listRoute(operations: Operations): Route {
  return defineRoute({
    tags: ['operations'],
    auth: 'bearer',
    method: 'get',
    path: '/operations',
    operationId: 'listOperations',
    summary: 'Long work that is under way, in any process',
    action: 'administer',
    problems: ['not-found'],
    responses: {
      200: {
        description: 'The eldest first',
        schema: z.strictObject({ data: z.array(operationSchema) }),
        example: { data: [exampleOperation] },
      },
    },
    async handler(request) {
      await request.authorize({ project: '*', kind: 'operation' });
      return { body: { data: await operations.running() } };
    },
  });
}
