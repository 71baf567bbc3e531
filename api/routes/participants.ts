import { z } from 'zod';
import { discussions } from '../../commands/aggregate.ts';
import { existing } from '../../commands/discussionCommand.ts';
import { joinDiscussion } from '../../commands/joinDiscussion.ts';
import { leaveDiscussion } from '../../commands/leaveDiscussion.ts';
import { newcomerSchema } from '../../commands/newcomer.ts';
import { refresh, stateAt } from '../../commands/states.ts';
import { participantSchema } from '../../domain/discussion/events.ts';
import { askedOf, consistencyToken, type ApiContext } from '../context.ts';
import { answerOutcome, discussionOutcomeSchema, exampleDiscussion, exampleOutcome } from '../resources/discussion.ts';
import { defineRoute, type Route } from '../route.ts';
import { momentOf, momentShape } from '../timeTravel.ts';

const params = z.strictObject({ id: z.uuid() });
const common = { tags: ['participants'], auth: 'bearer' } as const;
const problems = ['not-found', 'conflict', 'revision-mismatch', 'key-reused', 'in-flight'] as const;
const shown = z.strictObject({ ...participantSchema.shape, left: z.boolean() }).meta({ id: 'Participant' });
const example = { ...exampleDiscussion.participants[0], left: false };

/** Who takes part in a discussion. */
export function participantRoutes(ctx: ApiContext): Route[] {
  return [
    listRoute(ctx),
    defineRoute({
      ...common,
      method: 'post',
      path: '/discussions/{id}/participants',
      operationId: 'joinDiscussion',
      summary: 'Add an agent or a person',
      action: 'write',
      params,
      body: newcomerSchema,
      bodyExample: { userId: 'grace' },
      problems,
      responses: {
        201: {
          description: 'Joined',
          schema: z.strictObject({ participantId: z.uuid(), revision: z.int() }),
          example: { participantId: example.participantId, revision: 5 },
        },
      },
      async handler(request) {
        const done = await joinDiscussion(ctx.engine, request.params.id, request.body, askedOf(ctx, request));
        const joined = done.events.find((event) => event.type === 'ParticipantJoined');
        const { revision, position, replayed } = done;
        return {
          body: { participantId: joined?.data.participantId, revision },
          revision,
          consistencyToken: consistencyToken(position),
          replayed,
        };
      },
    }),
    defineRoute({
      ...common,
      method: 'delete',
      path: '/discussions/{id}/participants/{participantId}',
      operationId: 'leaveDiscussion',
      summary: 'Take a participant out; its open turn is cancelled',
      action: 'write',
      params: z.strictObject({ id: z.uuid(), participantId: z.uuid() }),
      problems: ['not-found', 'conflict', 'revision-mismatch'],
      responses: { 200: { description: 'Left', schema: discussionOutcomeSchema, example: exampleOutcome } },
      handler: async (request) =>
        answerOutcome(
          await leaveDiscussion(ctx.engine, request.params.id, request.params.participantId, askedOf(ctx, request)),
        ),
    }),
  ];
}

function listRoute(ctx: ApiContext): Route {
  return defineRoute({
    ...common,
    method: 'get',
    path: '/discussions/{id}/participants',
    operationId: 'listParticipants',
    summary: 'Who takes part, and who has left, in the order of joining',
    action: 'read',
    params,
    query: z.strictObject(momentShape),
    problems: ['not-found'],
    responses: {
      200: {
        description: 'All of them',
        schema: z.strictObject({ data: z.array(shown) }),
        example: { data: [example] },
      },
    },
    async handler(request) {
      const stream = `discussion-${request.params.id}`;
      const moment = await momentOf(ctx, request, request.params.id, request.query);
      const { state, revision } =
        moment === null
          ? await refresh(ctx.engine, discussions, stream)
          : await stateAt(ctx.engine.store, discussions, stream, moment.revision);
      const discussion = existing(state);
      await request.authorize({ project: discussion.projectId, kind: 'discussion', id: request.params.id });
      return { body: { data: discussion.participants.map(({ lastTurn: _lastTurn, ...each }) => each) }, revision };
    },
  });
}
