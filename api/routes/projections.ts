import { z } from 'zod';
import { Refusal } from '../../domain/refusal.ts';
import type { ApiContext } from '../context.ts';
import { defineRoute, type Route } from '../route.ts';

const schema = z
  .strictObject({
    name: z.string(),
    version: z.int(),
    status: z.string(),
    /** Position of the last event applied. */
    position: z.string(),
    /** Events between it and the head of the log. */
    behind: z.int(),
  })
  .meta({ id: 'Projection' });
const example = { name: 'discussions', version: 1, status: 'live', position: '420', behind: 0 };
const common = { method: 'get', tags: ['projections'], auth: 'bearer', action: 'read' } as const;

/** The read models and how far they are. */
export function projectionRoutes(ctx: ApiContext): Route[] {
  const all = async () => {
    const head = await ctx.engine.store.head();
    return (await ctx.projections()).map(({ name, version, status, position }) => {
      const behind = head > BigInt(position) ? Number(head - BigInt(position)) : 0;
      return { name, version, status, position, behind };
    });
  };
  return [
    defineRoute({
      ...common,
      path: '/projections',
      operationId: 'listProjections',
      summary: 'All read models',
      problems: ['not-found'],
      responses: {
        200: {
          description: 'All of them',
          schema: z.strictObject({ data: z.array(schema) }),
          example: { data: [example] },
        },
      },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'projection' });
        return { body: { data: await all() } };
      },
    }),
    defineRoute({
      ...common,
      path: '/projections/{name}',
      operationId: 'getProjection',
      summary: 'One read model, its live version',
      params: z.strictObject({ name: z.string().regex(/^[a-z][a-z-]{0,50}$/) }),
      problems: ['not-found'],
      responses: { 200: { description: 'The read model', schema, example } },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'projection' });
        const found = (await all()).find(({ name, status }) => name === request.params.name && status === 'live');
        if (found === undefined) throw new Refusal('not-found', `there is no projection ${request.params.name}`);
        return { body: found };
      },
    }),
  ];
}
