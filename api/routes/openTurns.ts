import { z } from 'zod';
import type { OpenTurn, StuckReason } from '../../projections/stuckTurns.ts';
import { visibleProjects, type ApiContext } from '../context.ts';
import { cursorKey, LAST_INTEGER, pageOf } from '../page.ts';
import { pageShape, queryBoolean, queryInteger } from '../queryValues.ts';
import { defineRoute, type Route } from '../route.ts';

const reasons = ['unclaimed', 'silent', 'overdue', 'unsettled'] as const;
const schema = z
  .strictObject({
    turnId: z.uuid(),
    discussionId: z.uuid(),
    projectId: z.string(),
    number: z.int(),
    participantId: z.uuid(),
    status: z.string(),
    paused: z.boolean(),
    worker: z.string().nullable(),
    stuck: z
      .strictObject({
        reason: z.enum(reasons),
        since: z.iso.datetime(),
        seconds: z.int(),
        /** For a person: what it means, and what to do. */
        detail: z.string(),
      })
      .nullable(),
  })
  .meta({ id: 'OpenTurn' });

const DETAIL: Readonly<Record<StuckReason, string>> = {
  unclaimed: 'due, and no worker took it: see that workers run, and that its provider has places and is not left alone',
  silent: 'its worker gives no sign of life, and nobody took it over: see that a process with the role sweeper runs',
  overdue: 'its participant has not answered in time, and nobody skipped it: see that a sweeper runs, or cancel it',
  unsettled: 'it has ended, but its last attempt was never accounted for: see that a sweeper runs',
};
const example = {
  turnId: '6f1a4c3f-0f6c-5ab4-9d24-5d0f6a520f6c',
  discussionId: '01890a5d-ac96-774b-bcce-b302099a8057',
  projectId: 'default',
  number: 3,
  participantId: '0a3f1c52-6f0c-5ab4-9d24-6f1a4c3f4a11',
  status: 'requested',
  paused: false,
  worker: null,
  stuck: { reason: 'unclaimed' as const, since: '2025-01-31T12:00:05.000Z', seconds: 90, detail: DETAIL.unclaimed },
};

/** Turns that are open, over all discussions, and why one does not go on. */
export function openTurnRoutes(ctx: ApiContext): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/turns',
      operationId: 'listOpenTurns',
      summary: 'Open turns of the projects one may read, those that are stuck first',
      tags: ['turns'],
      auth: 'bearer',
      action: 'read',
      query: z.strictObject({
        ...pageShape,
        stuck: queryBoolean().default(false),
        olderThanSeconds: queryInteger(0, 31_536_000).default(60),
      }),
      problems: [],
      responses: {
        200: {
          description: 'A page',
          schema: z.strictObject({ data: z.array(schema), nextCursor: z.string().nullable() }),
          example: { data: [example], nextCursor: null },
        },
      },
      async handler(request) {
        const projects = await visibleProjects(ctx, request, 'discussion');
        const { limit, cursor, stuck: stuckOnly, olderThanSeconds } = request.query;
        const offset = Number(cursorKey(cursor, LAST_INTEGER) ?? 0);
        const rows = await ctx.openTurns.list({ projects, stuckOnly, olderThanSeconds, offset, limit: limit + 1 });
        return pageOf(request, rows, limit, () => offset + limit, shown);
      },
    }),
  ];
}

function shown({ project, stuck, ...turn }: OpenTurn): z.input<typeof schema> {
  return { ...turn, projectId: project, stuck: stuck === null ? null : { ...stuck, detail: DETAIL[stuck.reason] } };
}
