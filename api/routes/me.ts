import { z } from 'zod';
import { defineRoute, type Route } from '../route.ts';

/** Who a token stands for. */
export function meRoutes(): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/auth/me',
      operationId: 'getMe',
      summary: 'Who this token stands for, and its roles',
      tags: ['auth'],
      auth: 'bearer',
      action: 'read',
      problems: [],
      responses: {
        200: {
          description: 'The actor',
          schema: z.strictObject({
            kind: z.string(),
            id: z.string(),
            grants: z.array(z.strictObject({ project: z.string(), role: z.string() })),
            expiresAt: z.iso.datetime().nullable(),
          }),
          example: {
            kind: 'user',
            id: 'administrator',
            grants: [{ project: '*', role: 'administrator' }],
            expiresAt: null,
          },
        },
      },
      handler: ({ actor, expiresAt }) => ({
        body: {
          kind: actor.kind,
          id: actor.id,
          grants: [...actor.grants],
          expiresAt: expiresAt === null ? null : new Date(expiresAt).toISOString(),
        },
      }),
    }),
  ];
}
