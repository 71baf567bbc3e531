import { z } from 'zod';
import { actorSchema, onTheWire, type RecordedEvent } from '../../domain/envelope.ts';
import { authorizeDiscussion, type ApiContext } from '../context.ts';
import { queryInteger, queryPosition } from '../queryValues.ts';
import { defineRoute, type Route } from '../route.ts';

const eventSchema = z
  .strictObject({
    id: z.uuid(),
    type: z.string(),
    schemaVersion: z.int(),
    stream: z.string(),
    revision: z.int(),
    position: z.string(),
    occurredAt: z.iso.datetime(),
    actor: actorSchema,
    commandId: z.uuid(),
    correlationId: z.string(),
    causationId: z.uuid().nullable(),
    data: z.json(),
  })
  .meta({ id: 'Event' });

const example = {
  id: '5d0f6a52-0f6c-5ab4-9d24-6f1a4c3f4a11',
  type: 'DiscussionPaused',
  schemaVersion: 1,
  stream: 'discussion-01890a5d-ac96-774b-bcce-b302099a8057',
  revision: 6,
  position: '42',
  occurredAt: '2025-01-31T12:00:05.000Z',
  actor: { kind: 'user' as const, id: 'grace' },
  commandId: '0195f1c5-26f0-7c5a-b49d-246f1a4c3f4a',
  correlationId: '0195f1c5-26f0-7c5a-b49d-246f1a4c3f4b',
  causationId: null,
  data: { reason: 'requested' },
};
const responses = {
  200: {
    description: 'A page in log order',
    schema: z.strictObject({ data: z.array(eventSchema) }),
    example: { data: [example] },
  },
};
const limit = queryInteger(1, 200).default(50);

/** The log itself, for auditors: paged by plain revision or position, which can be cited. */
export function eventRoutes(ctx: ApiContext): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/discussions/{id}/events',
      operationId: 'listDiscussionEvents',
      summary: 'Events of one discussion after a revision',
      tags: ['events'],
      auth: 'bearer',
      action: 'read',
      params: z.strictObject({ id: z.uuid() }),
      query: z.strictObject({ after: queryInteger(0, 2 ** 48).optional(), limit }),
      problems: ['not-found'],
      responses,
      async handler(request) {
        await authorizeDiscussion(ctx, request, request.params.id);
        const from = request.query.after === undefined ? 0 : request.query.after + 1;
        return {
          body: {
            data: await collect(
              ctx.engine.store.read(`discussion-${request.params.id}`, { from, limit: request.query.limit }),
            ),
          },
        };
      },
    }),
    defineRoute({
      method: 'get',
      path: '/events',
      operationId: 'listEvents',
      summary: 'The whole log after a position; for who may read every project',
      tags: ['events'],
      auth: 'bearer',
      action: 'read',
      query: z.strictObject({
        after: queryPosition().default('0'),
        limit,
      }),
      problems: ['not-found'],
      responses,
      async handler(request) {
        await request.authorize({ project: '*', kind: 'log' });
        return {
          body: {
            data: await collect(ctx.engine.store.readAll(BigInt(request.query.after), { limit: request.query.limit })),
          },
        };
      },
    }),
  ];
}

async function collect(events: AsyncIterable<RecordedEvent>): Promise<ReturnType<typeof onTheWire>[]> {
  const data = [];
  for await (const event of events) data.push(onTheWire(event));
  return data;
}
