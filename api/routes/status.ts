import { z } from 'zod';
import type { ApiContext } from '../context.ts';
import type { Operations } from '../operations.ts';
import { defineRoute, type Route } from '../route.ts';
import { exampleOperation, operationSchema } from './operations.ts';

const schema = z
  .strictObject({
    version: z.string(),
    /** Of the process that answers, as are `turns.running` and `clients`. */
    uptimeSeconds: z.int(),
    log: z.strictObject({ head: z.string(), lineage: z.string() }),
    /** `events` is null where positions have gaps. */
    projections: z.array(z.strictObject({ name: z.string(), seconds: z.number(), events: z.int().nullable() })),
    /** Open ones, those that do not go on for a minute, and attempts under way in this process. */
    turns: z.strictObject({ open: z.int(), stuck: z.int(), running: z.int() }),
    deadLetters: z.int(),
    /** Open event streams. */
    clients: z.int(),
    operations: z.array(operationSchema),
  })
  .meta({ id: 'Status' });

/** What an operator wants to see first. */
export function statusRoutes(ctx: ApiContext, operations: Operations): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/status',
      operationId: 'getStatus',
      summary: 'How the service is, at one look',
      tags: ['operations'],
      auth: 'bearer',
      action: 'read',
      problems: ['not-found'],
      responses: {
        200: {
          description: 'Now',
          schema,
          example: {
            version: '0.1.0',
            uptimeSeconds: 86_400,
            log: { head: '420', lineage: '0195f1c5-26f0-4c5a-b49d-246f1a4c3f4a' },
            projections: [{ name: 'discussions', seconds: 0, events: 0 }],
            turns: { open: 3, stuck: 0, running: 2 },
            deadLetters: 0,
            clients: 5,
            operations: [exampleOperation],
          },
        },
      },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'service' });
        const [status, running] = await Promise.all([ctx.status(), operations.running()]);
        return { body: { ...status, operations: running } };
      },
    }),
  ];
}
