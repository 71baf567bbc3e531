import { z } from 'zod';
import { discussions } from '../../commands/aggregate.ts';
import { changeDiscussion, changeDiscussionSchema } from '../../commands/changeDiscussion.ts';
import { concludeDiscussion, concludeDiscussionSchema } from '../../commands/concludeDiscussion.ts';
import { openDiscussion, openDiscussionSchema } from '../../commands/openDiscussion.ts';
import { pauseDiscussion } from '../../commands/pauseDiscussion.ts';
import { resumeDiscussion } from '../../commands/resumeDiscussion.ts';
import { projectIdSchema } from '../../domain/project.ts';
import { askedOf, awaitConsistency, visibleProjects, type ApiContext } from '../context.ts';
import { cursorKey, pageOf } from '../page.ts';
import { pageShape } from '../queryValues.ts';
import {
  answerOutcome,
  discussionOutcomeSchema,
  discussionSchema,
  exampleDiscussion,
  exampleOutcome,
  showDiscussion,
} from '../resources/discussion.ts';
import { defineRoute, type Route } from '../route.ts';
import { rowOnceSeen } from '../rowOnceSeen.ts';
import { discussionThen, momentOf, momentShape } from '../timeTravel.ts';

const params = z.strictObject({ id: z.uuid() });
const common = { tags: ['discussions'], auth: 'bearer' } as const;
const outcome = { schema: discussionOutcomeSchema, example: exampleOutcome };
const writeProblems = ['not-found', 'conflict', 'revision-mismatch', 'key-reused', 'in-flight'] as const;

/** Discussions: open, read, change, pause, resume, conclude. */
export function discussionRoutes(ctx: ApiContext): Route[] {
  return [openRoute(ctx), changeRoute(ctx), ...actionRoutes(ctx), ...readRoutes(ctx)];
}

function openRoute(ctx: ApiContext): Route {
  return defineRoute({
    ...common,
    method: 'post',
    path: '/discussions',
    operationId: 'openDiscussion',
    summary: 'Open a discussion; its first turn is requested at once',
    action: 'write',
    body: openDiscussionSchema,
    bodyExample: {
      title: 'Licence',
      topic: 'Which licence fits our library?',
      participants: [{ agentId: '01890a5d-ac96-774b-bcce-b302099a8050' }, { userId: 'grace' }],
      policy: { kind: 'round-robin' },
      limits: { maxTurns: 9 },
    },
    problems: ['key-reused', 'in-flight'],
    responses: { 201: { description: 'Opened', ...outcome } },
    async handler(request) {
      const done = await openDiscussion(ctx.engine, request.body, askedOf(ctx, request, request.body.projectId));
      return answerOutcome(done, { headers: { Location: `/api/v1/discussions/${done.id}` } });
    },
  });
}

function changeRoute(ctx: ApiContext): Route {
  return defineRoute({
    ...common,
    method: 'patch',
    path: '/discussions/{id}',
    operationId: 'changeDiscussion',
    summary: 'Switch the turn policy, change limits',
    action: 'write',
    params,
    body: changeDiscussionSchema,
    bodyExample: { limits: { maxTurns: 20 } },
    problems: writeProblems,
    responses: { 200: { description: 'Changed', ...outcome } },
    handler: async (request) =>
      answerOutcome(await changeDiscussion(ctx.engine, request.params.id, request.body, askedOf(ctx, request))),
  });
}

function actionRoutes(ctx: ApiContext): Route[] {
  const action = {
    ...common,
    method: 'post',
    action: 'write',
    params,
    problems: writeProblems,
    responses: { 200: { description: 'Done', ...outcome } },
  } as const;
  return [
    defineRoute({
      ...action,
      path: '/discussions/{id}/pause',
      operationId: 'pauseDiscussion',
      summary: 'Let no further turn begin',
      handler: async (request) =>
        answerOutcome(await pauseDiscussion(ctx.engine, request.params.id, askedOf(ctx, request))),
    }),
    defineRoute({
      ...action,
      path: '/discussions/{id}/resume',
      operationId: 'resumeDiscussion',
      summary: 'Go on after a pause',
      handler: async (request) =>
        answerOutcome(await resumeDiscussion(ctx.engine, request.params.id, askedOf(ctx, request))),
    }),
    defineRoute({
      ...action,
      path: '/discussions/{id}/conclude',
      operationId: 'concludeDiscussion',
      summary: 'End a discussion; its open turn is cancelled',
      body: concludeDiscussionSchema.optional(),
      bodyExample: { reason: 'decided' },
      handler: async (request) =>
        answerOutcome(
          await concludeDiscussion(ctx.engine, request.params.id, request.body ?? {}, askedOf(ctx, request)),
        ),
    }),
  ];
}

function readRoutes(ctx: ApiContext): Route[] {
  return [
    defineRoute({
      ...common,
      method: 'get',
      path: '/discussions',
      operationId: 'listDiscussions',
      summary: 'Discussions, the newest first',
      action: 'read',
      query: z.strictObject({
        ...pageShape,
        projectId: projectIdSchema.optional(),
        status: z.enum(['open', 'paused', 'concluded']).optional(),
      }),
      problems: ['not-found', 'projection-behind'],
      responses: {
        200: {
          description: 'A page',
          schema: z.strictObject({ data: z.array(discussionSchema), nextCursor: z.string().nullable() }),
          example: { data: [exampleDiscussion], nextCursor: null },
        },
      },
      async handler(request) {
        await awaitConsistency(ctx, request, ['discussions']);
        const { limit, cursor, projectId, status } = request.query;
        if (projectId !== undefined) await request.authorize({ project: projectId, kind: 'discussion' });
        const before = cursorKey(cursor);
        const projects = projectId === undefined ? await visibleProjects(ctx, request, 'discussion') : [projectId];
        const rows = await ctx.discussions.list({
          projects,
          limit: limit + 1,
          ...(status === undefined ? {} : { status }),
          ...(before === undefined ? {} : { before }),
        });
        return pageOf(request, rows, limit, (row) => row.openedPosition, showDiscussion);
      },
    }),
    oneRoute(ctx),
  ];
}

function oneRoute(ctx: ApiContext): Route {
  return defineRoute({
    ...common,
    method: 'get',
    path: '/discussions/{id}',
    operationId: 'getDiscussion',
    summary: 'One discussion',
    action: 'read',
    params,
    query: z.strictObject(momentShape),
    problems: ['not-found', 'projection-behind'],
    responses: { 200: { description: 'The discussion', schema: discussionSchema, example: exampleDiscussion } },
    async handler(request) {
      const { id } = request.params;
      const moment = await momentOf(ctx, request, id, request.query);
      if (moment !== null) {
        const then = await discussionThen(ctx, request, moment);
        return { body: showDiscussion(then), revision: then.revision };
      }
      await awaitConsistency(ctx, request, ['discussions']);
      const row = await rowOnceSeen(ctx, request, discussions, id, () => ctx.discussions.one(id));
      await request.authorize({ project: row.project, kind: 'discussion', id: row.id });
      return { body: showDiscussion(row), revision: row.revision };
    },
  });
}
