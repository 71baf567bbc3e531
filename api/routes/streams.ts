import { z } from 'zod';
import { discussions } from '../../commands/aggregate.ts';
import { existing } from '../../commands/discussionCommand.ts';
import { refresh } from '../../commands/states.ts';
import { onTheWire } from '../../domain/envelope.ts';
import { Refusal } from '../../domain/refusal.ts';
import { projectIdSchema } from '../../domain/project.ts';
import type { ApiContext } from '../context.ts';
import { followDiscussion } from '../follow.ts';
import { isPlace, queryInteger, queryPosition } from '../queryValues.ts';
import { defineRoute, type RequestContext, type Route } from '../route.ts';
import { openSse, sseFrame, type SseConnection } from '../sse.ts';
import type { OpenStreams } from '../openStreams.ts';
import { followProject } from '../followProject.ts';

const example =
  'id: 6\nevent: DiscussionPaused\ndata: {"id":"5d0f6a52-0f6c-5ab4-9d24-6f1a4c3f4a11","type":"DiscussionPaused"}\n\n';
const responses = {
  200: {
    description:
      'Server-sent events: committed events with their durable id, `delta` {turnId, attempt, offset, text} without one, `caught-up` after history, `reconnect` when the server stops, `end` when the discussion has ended',
    schema: z.string(),
    example,
    contentType: 'text/event-stream',
  },
  204: { description: 'The discussion has ended and you have seen all of it: do not come back' },
};
const common = { method: 'get', tags: ['streams'], auth: 'stream', action: 'read' } as const;

/** Live streams: nothing needs to be polled. */
export function streamRoutes(ctx: ApiContext, streams: OpenStreams): Route[] {
  return [
    defineRoute({
      ...common,
      path: '/discussions/{id}/stream',
      operationId: 'streamDiscussion',
      summary: 'One discussion as it happens, from its beginning or after what you have seen',
      params: z.strictObject({ id: z.uuid() }),
      query: z.strictObject({ after: queryInteger(0, 2 ** 48).optional() }),
      problems: ['not-found'],
      responses,
      async handler(request) {
        const { id } = request.params;
        const { state, revision } = await refresh(ctx.engine, discussions, `discussion-${id}`);
        const { projectId, status } = existing(state);
        await request.authorize({ project: projectId, kind: 'discussion', id });
        const after = Number(lastSeen(request) ?? request.query.after ?? -1);
        if (after > revision)
          throw new Refusal('invalid', `this discussion is at revision ${revision}: you cannot have seen ${after}`);
        if (status === 'concluded' && after === revision && (await ctx.feed.end(id)) === revision)
          return { status: 204 };
        const connection = openStream(ctx, streams, request);
        followDiscussion({
          store: ctx.engine.store,
          feed: ctx.feed,
          telemetry: ctx.telemetry,
          connection,
          discussion: { id, project: projectId },
          after,
        }).catch(() => connection.close());
        return null;
      },
    }),
    projectRoute(ctx, streams),
  ];
}

function projectRoute(ctx: ApiContext, streams: OpenStreams): Route {
  return defineRoute({
    ...common,
    path: '/stream',
    operationId: 'streamProject',
    summary: 'All events of a project from now on, or after what you have seen',
    query: z.strictObject({
      projectId: projectIdSchema.default('default'),
      after: queryPosition().optional(),
    }),
    problems: ['not-found'],
    responses: { 200: responses[200] },
    async handler(request) {
      const project = request.query.projectId;
      await request.authorize({ project, kind: 'discussion' });
      const seen = lastSeen(request) ?? request.query.after;
      const head = await ctx.engine.store.head();
      const after = seen === undefined ? head : BigInt(seen);
      // Else what lies between would be left out without a word.
      if (after > head) throw new Refusal('invalid', `the log is at position ${head}: you cannot have seen ${after}`);
      const connection = openStream(ctx, streams, request);
      followProject({
        store: ctx.engine.store,
        feed: ctx.feed,
        connection,
        project,
        after,
        frame: (event) => sseFrame(event.type, onTheWire(event), event.position.toString()),
      }).catch(() => connection.close());
      return null;
    },
  });
}

/** The Last-Event-ID of a client that comes back. @throws Refusal `invalid` for one that is not ours. */
export function lastSeen({ req }: RequestContext): string | undefined {
  const header = req.headers['last-event-id'];
  if (header === undefined || header === '') return undefined;
  if (typeof header === 'string' && isPlace(header)) return header;
  throw new Refusal('invalid', 'Last-Event-ID is not one of ours', {
    issues: [{ pointer: 'header/Last-Event-ID', code: 'malformed', detail: 'send it as it was received' }],
  });
}

/** Begins a stream that ends with its token, and that a drain tells to come back. */
export function openStream(ctx: ApiContext, streams: OpenStreams, request: RequestContext): SseConnection {
  const { clock } = ctx.engine;
  const connection = openSse(request.res, clock, () =>
    ctx.telemetry.count('sse_dropped_total', { what: 'connection' }),
  );
  streams.add(connection);
  // A stream lives no longer than the token it was opened with.
  if (request.expiresAt !== null)
    void clock
      .sleep(request.expiresAt - clock.now(), connection.signal)
      .then(() => connection.close(sseFrame('reconnect', { reason: 'token-expired' })));
  return connection;
}
