import { z } from 'zod';
import { defineRoute, type Route } from '../route.ts';
import type { StreamTickets } from '../streamTickets.ts';

/** `POST /stream-tickets`: see ../streamTickets.ts. Whether the actor may read the stream is asked when it is opened. */
export function streamTicketRoutes(tickets: StreamTickets): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/stream-tickets',
      operationId: 'createStreamTicket',
      summary: 'A one-use ticket to open a stream where headers cannot be sent',
      tags: ['streams'],
      auth: 'bearer',
      action: 'read',
      problems: [],
      body: z.strictObject({
        path: z
          .string()
          .regex(/^\/api\/v1\/[A-Za-z0-9/_-]{1,300}$/)
          .meta({ description: 'Full path of the stream, without query' }),
      }),
      bodyExample: { path: '/api/v1/discussions/01890a5d-ac96-774b-bcce-b302099a8057/stream' },
      responses: {
        201: {
          description: 'Append it to the stream’s URL as ?ticket=',
          schema: z.strictObject({ ticket: z.string(), expiresAt: z.iso.datetime() }),
          example: { ticket: '5f1d7a84c3b2e6909b1c4d7e2f3a8b60', expiresAt: '2025-01-31T12:00:30.000Z' },
        },
      },
      async handler({ actor, expiresAt, body }) {
        const issued = await tickets.issue({ actor, expiresAt }, body.path);
        return { body: { ticket: issued.ticket, expiresAt: new Date(issued.expiresAt).toISOString() } };
      },
    }),
  ];
}
