import { z } from 'zod';
import { discussions } from '../../commands/aggregate.ts';
import { existing } from '../../commands/discussionCommand.ts';
import { forkDiscussion, forkDiscussionSchema } from '../../commands/forkDiscussion.ts';
import { refresh } from '../../commands/states.ts';
import { commonPoint, differences } from '../../domain/discussion/compare.ts';
import { partsOf, type HistoryPart } from '../../domain/discussion/lineage.ts';
import type { ExistingDiscussion } from '../../domain/discussion/state.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { DiscussionRow } from '../../projections/discussions.ts';
import { askedOf, authorizeDiscussion, awaitConsistency, type ApiContext } from '../context.ts';
import { cursorKey, LAST_INTEGER, pageOf } from '../page.ts';
import { pageShape } from '../queryValues.ts';
import { comparisonSchema, exampleComparison, showSide } from '../resources/comparison.ts';
import { answerOutcome, discussionOutcomeSchema, exampleDiscussion, exampleOutcome } from '../resources/discussion.ts';
import { showMessage } from '../resources/message.ts';
import { defineRoute, type RequestContext, type Route } from '../route.ts';

const params = z.strictObject({ id: z.uuid() });
const common = { tags: ['forks'], auth: 'bearer', params } as const;
/** A discussion of the same lineage; `revision` is that at which the next one was forked. */
const relative = z.strictObject({ id: z.uuid(), title: z.string(), revision: z.int() });
const { id, title } = exampleDiscussion;

/** Discussions that go on where another one stood. */
export function forkRoutes(ctx: ApiContext): Route[] {
  return [forkRoute(ctx), lineageRoute(ctx), compareRoute(ctx)];
}

function forkRoute(ctx: ApiContext): Route {
  return defineRoute({
    ...common,
    method: 'post',
    path: '/discussions/{id}/fork',
    operationId: 'forkDiscussion',
    summary: 'Open a discussion that goes on from an event of this one, which stays as it is',
    action: 'write',
    body: forkDiscussionSchema,
    bodyExample: { atRevision: 9, title: 'Licence, with a stricter Ada', overrides: { limits: { maxTurns: 20 } } },
    problems: ['not-found', 'conflict', 'revision-mismatch', 'key-reused', 'in-flight'],
    responses: { 201: { description: 'Forked', schema: discussionOutcomeSchema, example: exampleOutcome } },
    async handler(request) {
      const done = await forkDiscussion(ctx.engine, request.params.id, request.body, askedOf(ctx, request));
      return answerOutcome(done, { headers: { Location: `/api/v1/discussions/${done.id}` } });
    },
  });
}

function lineageRoute(ctx: ApiContext): Route {
  return defineRoute({
    ...common,
    method: 'get',
    path: '/discussions/{id}/lineage',
    operationId: 'getLineage',
    summary: 'What a discussion was forked from, and what was forked from it',
    action: 'read',
    query: z.strictObject(pageShape),
    problems: ['not-found', 'projection-behind'],
    responses: {
      200: {
        description: 'All ancestors, the eldest first, and a page of direct children',
        schema: z
          .strictObject({
            ancestors: z.array(relative),
            children: z.array(relative),
            nextCursor: z.string().nullable(),
          })
          .meta({ id: 'Lineage' }),
        example: { ancestors: [{ id, title, revision: 9 }], children: [], nextCursor: null },
      },
    },
    async handler(request) {
      const parts = await authorizeDiscussion(ctx, request, request.params.id);
      await awaitConsistency(ctx, request, ['discussions']);
      const { limit, cursor } = request.query;
      const after = cursorKey(cursor);
      const [known, children] = await Promise.all([
        ctx.discussions.many(parts.map(({ discussionId }) => discussionId)),
        ctx.discussions.children(request.params.id, {
          limit: limit + 1,
          ...(after === undefined ? {} : { after }),
        }),
      ]);
      const ancestors = parts.flatMap(({ discussionId, until }) =>
        until === null ? [] : [{ id: discussionId, title: titleOf(known, discussionId), revision: until }],
      );
      const page = pageOf(request, children, limit, (row) => row.openedPosition, showChild);
      const { data, nextCursor } = page.body as { data: unknown[]; nextCursor: string | null };
      return { ...page, body: { ancestors, children: data, nextCursor } };
    },
  });
}

function titleOf(rows: readonly DiscussionRow[], id: string): string {
  return rows.find((each) => each.id === id)?.title ?? '';
}

function showChild(row: DiscussionRow): z.input<typeof relative> {
  return { id: row.id, title: row.title, revision: row.forkedFrom?.revision ?? 0 };
}

function compareRoute(ctx: ApiContext): Route {
  return defineRoute({
    ...common,
    method: 'get',
    path: '/discussions/{id}/diff',
    operationId: 'compareDiscussions',
    summary: 'How two discussions of one lineage differ: where they part, what was set and said since',
    action: 'read',
    query: z.strictObject({ ...pageShape, with: z.uuid() }),
    problems: ['not-found', 'conflict', 'projection-behind'],
    responses: { 200: { description: 'The differences', schema: comparisonSchema, example: exampleComparison } },
    async handler(request) {
      const { limit, cursor, with: otherId } = request.query;
      if (otherId === request.params.id) throw sameTwice();
      const here = await readable(ctx, request, request.params.id);
      const there = await readable(ctx, request, otherId);
      const point = commonPoint(here.parts, there.parts);
      if (point === null)
        throw new Refusal('conflict', 'these discussions share no events: neither goes on from the other');
      await awaitConsistency(ctx, request, ['messages']);
      const after = Math.max(point.index, Number(cursorKey(cursor, LAST_INTEGER) ?? 0));
      const [ours, theirs] = await Promise.all(
        [here, there].map(({ parts }) => ctx.messages.byDiscussion(parts, { after, limit: limit + 1 })),
      );
      const last = lastShown([ours ?? [], theirs ?? []], limit);
      const upTo = (rows: typeof ours = []) =>
        rows.filter(({ index }) => last === null || index <= last).map(showMessage);
      return {
        body: {
          common: point,
          here: showSide(request.params.id, here.revision, here.state),
          there: showSide(otherId, there.revision, there.state),
          differences: differences(here.state, there.state),
          messages: { here: upTo(ours), there: upTo(theirs) },
          nextCursor: last === null ? null : Buffer.from(String(last)).toString('base64url'),
        },
      };
    },
  });
}

function sameTwice(): Refusal {
  const detail = 'name another discussion to compare this one with';
  return new Refusal('invalid', detail, { issues: [{ pointer: 'query/with', code: 'the-same', detail }] });
}

interface Side {
  readonly state: ExistingDiscussion;
  readonly revision: number;
  readonly parts: readonly HistoryPart[];
}

async function readable(ctx: ApiContext, request: RequestContext, id: string): Promise<Side> {
  const loaded = await refresh(ctx.engine, discussions, `discussion-${id}`);
  const state = existing(loaded.state);
  await request.authorize({ project: state.projectId, kind: 'discussion', id });
  return { state, revision: loaded.revision, parts: partsOf(id, state.ancestors) };
}

/** The place in both lineages up to which a page goes; null when everything is on it. */
function lastShown(sides: readonly (readonly { readonly index: number }[])[], limit: number): number | null {
  const ends = sides.flatMap((rows) => (rows.length > limit ? [rows[limit - 1]?.index ?? 0] : []));
  return ends.length === 0 ? null : Math.min(...ends);
}
