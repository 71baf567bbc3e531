import { z } from 'zod';
import { currentTurn, type DiscussionOutcome } from '../../commands/discussionCommand.ts';
import { postMessage, postMessageSchema } from '../../commands/postMessage.ts';
import { askedOf, authorizeDiscussion, awaitConsistency, consistencyToken, type ApiContext } from '../context.ts';
import { cursorKey, LAST_INTEGER, pageOf } from '../page.ts';
import { pageShape, queryBoolean } from '../queryValues.ts';
import { exampleMessage, messageSchema, showMessage } from '../resources/message.ts';
import { exampleOutcome } from '../resources/discussion.ts';
import { defineRoute, type Answer, type Route } from '../route.ts';
import { messagesThen, momentOf, momentShape } from '../timeTravel.ts';

const params = z.strictObject({ id: z.uuid() });
const turn = z.strictObject({ turnId: z.uuid(), number: z.int(), participantId: z.uuid() });

/** What is said in a discussion. */
export function messageRoutes(ctx: ApiContext): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/discussions/{id}/messages',
      operationId: 'postMessage',
      summary: 'Say something, or answer a turn that waits for you',
      tags: ['messages'],
      auth: 'bearer',
      action: 'write',
      params,
      body: postMessageSchema,
      bodyExample: { content: 'What about patents?' },
      problems: ['not-found', 'conflict', 'revision-mismatch', 'key-reused', 'in-flight'],
      responses: {
        201: {
          description: 'Said',
          schema: z.strictObject({ messageId: z.uuid(), revision: z.int(), currentTurn: turn.nullable() }),
          example: { messageId: exampleMessage.messageId, revision: 7, currentTurn: exampleOutcome.currentTurn },
        },
      },
      handler: async (request) =>
        answer(await postMessage(ctx.engine, request.params.id, request.body, askedOf(ctx, request))),
    }),
    defineRoute({
      method: 'get',
      path: '/discussions/{id}/messages',
      operationId: 'listMessages',
      summary: 'What was said, in order',
      tags: ['messages'],
      auth: 'bearer',
      action: 'read',
      params,
      query: z.strictObject({ ...pageShape, ...momentShape, backwards: queryBoolean().default(false) }),
      problems: ['not-found', 'projection-behind'],
      responses: {
        200: {
          description: 'A page, the oldest first unless backwards',
          schema: z.strictObject({ data: z.array(messageSchema), nextCursor: z.string().nullable() }),
          example: { data: [exampleMessage], nextCursor: null },
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
          const then = await messagesThen(ctx, request, moment, page);
          return { ...pageOf(request, then, limit, (row) => row.index, showMessage), revision: moment.revision };
        }
        await awaitConsistency(ctx, request, ['messages']);
        const rows = await ctx.messages.byDiscussion(parts, page);
        return pageOf(request, rows, limit, (row) => row.index, showMessage);
      },
    }),
  ];
}

function answer({ state, events, revision, position, replayed }: DiscussionOutcome): Answer {
  const said = events.find((event) => event.type === 'MessagePosted' || event.type === 'TurnCompleted');
  const messageId = said?.data.messageId;
  return {
    body: { messageId, revision, currentTurn: currentTurn(state) },
    revision,
    consistencyToken: consistencyToken(position),
    replayed,
  };
}
