import { z } from 'zod';
import { discussions } from '../../commands/aggregate.ts';
import { existing } from '../../commands/discussionCommand.ts';
import { refresh } from '../../commands/states.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { ApiContext } from '../context.ts';
import type { OpenStreams } from '../openStreams.ts';
import { queryInteger } from '../queryValues.ts';
import { playReplay } from '../replay.ts';
import { defineRoute, type Route } from '../route.ts';
import { momentOf } from '../timeTravel.ts';
import { lastSeen, openStream } from './streams.ts';

const place = queryInteger(0, 2 ** 48);

/** A discussion as it happened, once more. */
export function replayRoutes(ctx: ApiContext, streams: OpenStreams): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/discussions/{id}/replay',
      operationId: 'replayDiscussion',
      summary: 'The recorded events at a chosen speed, as they happened; no model is asked',
      tags: ['streams'],
      auth: 'stream',
      action: 'read',
      params: z.strictObject({ id: z.uuid() }),
      query: z.strictObject({
        /** 1 as it happened, n for n times as fast, 0 without pauses; no pause lasts longer than 5 s. */
        speed: queryInteger(0, 10_000).default(1),
        /** The first revision that is shown. */
        from: place.optional(),
        /** The last revision, else the last one now. */
        to: place.optional(),
        /** RFC 3339, instead of `to`. */
        at: z.iso.datetime({ offset: true }).optional(),
      }),
      problems: ['not-found'],
      responses: {
        200: {
          description:
            'Server-sent events: the committed events with their revision as id, then `end` {revision, events, stateHash}',
          schema: z.string(),
          example: 'event: end\ndata: {"revision":6,"events":7,"stateHash":"9f86d081"}\n\n',
          contentType: 'text/event-stream',
        },
        204: { description: 'You have seen all of it: do not come back' },
      },
      async handler(request) {
        const { id } = request.params;
        const { speed, from, to, at } = request.query;
        const { state, revision } = await refresh(ctx.engine, discussions, `discussion-${id}`);
        await request.authorize({ project: existing(state).projectId, kind: 'discussion', id });
        const atRevision = to ?? (at === undefined ? revision : undefined);
        const moment = await momentOf(ctx, request, id, { atRevision, at });
        if (moment === null) throw new Refusal('internal', 'a replay without an end');
        const seen = lastSeen(request);
        if (seen !== undefined && Number(seen) >= moment.revision) return { status: 204 };
        const first = seen === undefined ? (from ?? 0) : Number(seen) + 1;
        if (first > moment.revision)
          throw new Refusal('invalid', `it cannot begin at revision ${first} and end at ${moment.revision}`);
        const connection = openStream(ctx, streams, request);
        const { store, clock } = ctx.engine;
        playReplay({ store, clock, connection, moment, from: first, speed }).catch(() => connection.close());
        return null;
      },
    }),
  ];
}
