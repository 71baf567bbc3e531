import { z } from 'zod';
import { Refusal } from '../../domain/refusal.ts';
import type { DeadLetter } from '../../projections/deadLetters.ts';
import type { ApiContext } from '../context.ts';
import { maskTexts } from '../maskTexts.ts';
import { cursorKey, LAST_INTEGER, pageOf } from '../page.ts';
import { pageShape, queryBoolean } from '../queryValues.ts';
import { defineRoute, type RequestContext, type Route } from '../route.ts';

const shape = {
  id: z.uuid(),
  projection: z.string(),
  version: z.int(),
  live: z.boolean(),
  status: z.enum(['waiting', 'skipped']),
  stream: z.string(),
  position: z.string(),
  eventId: z.uuid(),
  type: z.string(),
  error: z.string(),
  attempts: z.int(),
  laterEvents: z.int(),
  firstAt: z.iso.datetime(),
  lastAt: z.iso.datetime(),
  skipped: z.strictObject({ by: z.string(), reason: z.string(), at: z.iso.datetime() }).nullable(),
};
const letterSchema = z.strictObject(shape).meta({ id: 'DeadLetter' });
const wholeSchema = z.strictObject({ ...shape, revision: z.int(), masked: z.boolean(), data: z.json() });
const settledSchema = z.strictObject({
  /** Events of the stream that were applied. */
  applied: z.int(),
  /** What the stream waits behind now; null when it goes on. */
  letter: letterSchema.nullable(),
});
const example = {
  id: '0195f1c5-26f0-7c5a-b49d-246f1a4c3f4a',
  projection: 'discussions',
  version: 1,
  live: true,
  status: 'waiting' as const,
  stream: 'discussion-01890a5d-ac96-774b-bcce-b302099a8057',
  position: '42',
  eventId: '5d0f6a52-0f6c-5ab4-9d24-6f1a4c3f4a11',
  type: 'MessagePosted',
  error: 'MessagePosted has schema version 2, this program knows up to 1',
  attempts: 1,
  laterEvents: 12,
  firstAt: '2025-01-31T12:00:05.000Z',
  lastAt: '2025-01-31T12:00:05.000Z',
  skipped: null,
};
const object = { project: '*', kind: 'dead-letter' };
const common = { tags: ['projections'], auth: 'bearer' } as const;
const params = z.strictObject({ id: z.uuid() });
const settled = {
  description: 'What was applied, and what stands in the way now',
  schema: settledSchema,
  example: { applied: 13, letter: null },
};

/** Events that a read model could not take, each with the stream that waits behind it. */
export function deadLetterRoutes(ctx: ApiContext): Route[] {
  return [listRoute(ctx), getRoute(ctx), ...settlingRoutes(ctx)];
}

function listRoute(ctx: ApiContext): Route {
  return defineRoute({
    ...common,
    method: 'get',
    path: '/dead-letters',
    operationId: 'listDeadLetters',
    summary: 'Dead letters that wait, and events that were skipped, in log order',
    action: 'read',
    query: z.strictObject({
      ...pageShape,
      status: z.enum(['waiting', 'skipped']).optional(),
      projection: z
        .string()
        .regex(/^[a-z][a-z-]{0,50}$/)
        .optional(),
    }),
    problems: ['not-found'],
    responses: {
      200: {
        description: 'A page',
        schema: z.strictObject({ data: z.array(letterSchema), nextCursor: z.string().nullable() }),
        example: { data: [example], nextCursor: null },
      },
    },
    async handler(request) {
      await request.authorize(object);
      const { limit, cursor, status, projection } = request.query;
      const offset = Number(cursorKey(cursor, LAST_INTEGER) ?? 0);
      const letters = await ctx.letters.list({ status, projection, offset, limit: limit + 1 });
      return pageOf(request, letters, limit, () => offset + limit, shown);
    },
  });
}

function getRoute(ctx: ApiContext): Route {
  return defineRoute({
    ...common,
    method: 'get',
    path: '/dead-letters/{id}',
    operationId: 'getDeadLetter',
    summary:
      'One of them with its event; texts only as lengths unless revealed, which takes an administrator and is logged',
    action: 'read',
    params,
    query: z.strictObject({ reveal: queryBoolean().default(false) }),
    problems: ['not-found'],
    responses: {
      200: {
        description: 'The letter',
        schema: wholeSchema,
        example: { ...example, revision: 6, masked: true, data: { messageId: '<text of 36>' } },
      },
    },
    async handler(request) {
      await request.authorize(object);
      const { reveal } = request.query;
      if (reveal && !(await ctx.engine.authorizer.may(request.actor, 'administer', object)))
        throw new Refusal('forbidden', 'only an administrator of all projects may see what the event says');
      const letter = await ctx.letters.one(request.params.id);
      if (letter === null) throw new Refusal('not-found', 'there is no such dead letter');
      const { revision, data } = await ctx.letters.event(letter);
      if (reveal) ctx.log.warn({ deadLetter: letter.id, by: principalOf(request) }, 'a dead letter was shown unmasked');
      return { body: { ...shown(letter), revision, masked: !reveal, data: reveal ? data : maskTexts(data) } };
    },
  });
}

function settlingRoutes(ctx: ApiContext): Route[] {
  const settling = {
    ...common,
    method: 'post',
    action: 'administer',
    params,
    problems: ['not-found', 'conflict'],
  } as const;
  return [
    defineRoute({
      ...settling,
      path: '/dead-letters/{id}/retry',
      operationId: 'retryDeadLetter',
      summary: 'Apply the event again, and then what waited behind it, in order',
      responses: { 200: settled },
      async handler(request) {
        await request.authorize(object);
        const by = principalOf(request);
        const done = await ctx.letters.settle(request.params.id, { kind: 'retry', by }, request.signal);
        return { body: { ...done, letter: done.letter === null ? null : shown(done.letter) } };
      },
    }),
    defineRoute({
      ...settling,
      path: '/dead-letters/{id}/skip',
      operationId: 'skipDeadLetter',
      summary: 'Pass over the event for good, in this and every later version, and apply what waited behind it',
      body: z.strictObject({ reason: z.string().trim().min(1).max(500) }),
      bodyExample: { reason: 'written by a bug of 0.9, see the report of 3 May' },
      responses: { 200: settled },
      async handler(request) {
        await request.authorize(object);
        const by = principalOf(request);
        const { reason } = request.body;
        const done = await ctx.letters.settle(request.params.id, { kind: 'skip', by, reason }, request.signal);
        ctx.log.warn({ deadLetter: request.params.id, by }, 'an event was skipped');
        return { body: { ...done, letter: done.letter === null ? null : shown(done.letter) } };
      },
    }),
  ];
}

function principalOf({ actor }: RequestContext): string {
  return `${actor.kind}:${actor.id}`;
}

function shown(letter: DeadLetter): z.input<typeof letterSchema> {
  return { ...letter };
}
