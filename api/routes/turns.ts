import { z } from 'zod';
import { cancelTurn } from '../../commands/cancelTurn.ts';
import { requestTurn } from '../../commands/requestTurn.ts';
import { retryTurn } from '../../commands/retryTurn.ts';
import { Refusal } from '../../domain/refusal.ts';
import { askedOf, authorizeDiscussion, awaitConsistency, type ApiContext } from '../context.ts';
import { cursorKey, LAST_INTEGER, pageOf } from '../page.ts';
import { pageShape, queryBoolean } from '../queryValues.ts';
import { answerOutcome, discussionOutcomeSchema, exampleOutcome } from '../resources/discussion.ts';
import { exampleTurn, showTurn, turnSchema } from '../resources/turn.ts';
import { defineRoute, type Route } from '../route.ts';
import { momentOf, momentShape, turnsThen, turnThen } from '../timeTravel.ts';

const params = z.strictObject({ id: z.uuid() });
const turnParams = z.strictObject({ id: z.uuid(), turnId: z.uuid() });
const common = { tags: ['turns'], auth: 'bearer' } as const;
const problems = ['not-found', 'conflict', 'revision-mismatch', 'key-reused', 'in-flight'] as const;
const outcome = { schema: discussionOutcomeSchema, example: exampleOutcome };

/** Chances to speak: who had one, why, and how each attempt went. */
export function turnRoutes(ctx: ApiContext): Route[] {
  return [...readRoutes(ctx), ...writeRoutes(ctx)];
}

function readRoutes(ctx: ApiContext): Route[] {
  return [
    defineRoute({
      ...common,
      method: 'get',
      path: '/discussions/{id}/turns',
      operationId: 'listTurns',
      summary: 'Turns by number, with their attempts',
      action: 'read',
      params,
      query: z.strictObject({ ...pageShape, ...momentShape, backwards: queryBoolean().default(false) }),
      problems: ['not-found', 'projection-behind'],
      responses: {
        200: {
          description: 'A page',
          schema: z.strictObject({ data: z.array(turnSchema), nextCursor: z.string().nullable() }),
          example: { data: [exampleTurn], nextCursor: null },
        },
      },
      async handler(request) {
        const { id } = request.params;
        const parts = await authorizeDiscussion(ctx, request, id);
        const { limit, cursor, backwards } = request.query;
        const after = cursorKey(cursor, LAST_INTEGER);
        const page = { backwards, limit: limit + 1, ...(after === undefined ? {} : { after: Number(after) }) };
        const moment = await momentOf(ctx, request, id, request.query);
        if (moment !== null) {
          const then = await turnsThen(ctx, request, moment, page);
          return { ...pageOf(request, then, limit, (row) => row.number, showTurn), revision: moment.revision };
        }
        await awaitConsistency(ctx, request, ['turns']);
        const rows = await ctx.turns.byDiscussion(parts, page);
        return pageOf(request, rows, limit, (row) => row.number, showTurn);
      },
    }),
    oneRoute(ctx),
  ];
}

function oneRoute(ctx: ApiContext): Route {
  return defineRoute({
    ...common,
    method: 'get',
    path: '/discussions/{id}/turns/{turnId}',
    operationId: 'getTurn',
    summary: 'One turn',
    action: 'read',
    params: turnParams,
    query: z.strictObject(momentShape),
    problems: ['not-found', 'projection-behind'],
    responses: { 200: { description: 'The turn', schema: turnSchema, example: exampleTurn } },
    async handler(request) {
      const { id, turnId } = request.params;
      const parts = await authorizeDiscussion(ctx, request, id);
      const moment = await momentOf(ctx, request, id, request.query);
      if (moment !== null) {
        const then = await turnThen(ctx, request, moment, turnId);
        return { body: showTurn(then), revision: moment.revision };
      }
      await awaitConsistency(ctx, request, ['turns']);
      const row = await ctx.turns.one(parts, turnId);
      if (row === null) throw new Refusal('not-found', 'there is no such turn');
      return { body: showTurn(row) };
    },
  });
}

function writeRoutes(ctx: ApiContext): Route[] {
  const turn = { ...common, method: 'post', action: 'write', params: turnParams, problems } as const;
  return [
    defineRoute({
      ...common,
      method: 'post',
      path: '/discussions/{id}/turns',
      operationId: 'requestTurn',
      summary: 'Give a participant the floor (manual policy)',
      action: 'write',
      params,
      body: z.strictObject({ participantId: z.uuid() }),
      bodyExample: { participantId: exampleTurn.participantId },
      problems,
      responses: { 201: { description: 'Requested', ...outcome } },
      handler: async (request) =>
        answerOutcome(
          await requestTurn(ctx.engine, request.params.id, request.body.participantId, askedOf(ctx, request)),
        ),
    }),
    defineRoute({
      ...turn,
      path: '/discussions/{id}/turns/{turnId}/cancel',
      operationId: 'cancelTurn',
      summary: 'End the open turn; what was written so far is kept',
      responses: { 200: { description: 'Cancelled', ...outcome } },
      handler: async (request) =>
        answerOutcome(await cancelTurn(ctx.engine, request.params.id, request.params.turnId, askedOf(ctx, request))),
    }),
    defineRoute({
      ...turn,
      path: '/discussions/{id}/turns/{turnId}/retry',
      operationId: 'retryTurn',
      summary: 'Ask for the last turn again after it failed, was skipped or cancelled',
      responses: { 201: { description: 'Requested again', ...outcome } },
      handler: async (request) =>
        answerOutcome(await retryTurn(ctx.engine, request.params.id, request.params.turnId, askedOf(ctx, request))),
    }),
  ];
}
