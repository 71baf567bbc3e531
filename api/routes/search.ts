import { z } from 'zod';
import { passageKinds, type PassageFilter, type PassageHit } from '../../domain/meaning/vectorIndex.ts';
import { projectIdSchema } from '../../domain/project.ts';
import { authorizeDiscussion, awaitConsistency, visibleProjects, type ApiContext } from '../context.ts';
import { defineRoute, type RequestContext, type Route } from '../route.ts';

const modes = ['semantic', 'keyword', 'hybrid'] as const;

/** What a Consistency-Token has to wait for. */
const reads: Readonly<Record<(typeof modes)[number], readonly string[]>> = {
  semantic: ['embeddings'],
  keyword: ['passages'],
  hybrid: ['passages', 'embeddings'],
};

/** RFC 3339, in UTC afterwards. */
const time = z.iso
  .datetime({ offset: true })
  .refine((text) => /^(?!0000)\d{4}-/.test(inUtc(text)), { message: 'must be of a year from 1 to 9999 in UTC' });

const body = z
  .strictObject({
    query: z.string().trim().min(1).max(2_000),
    mode: z.enum(modes).default('hybrid'),
    kinds: z
      .array(z.enum(passageKinds))
      .min(1)
      .max(passageKinds.length)
      .refine((kinds) => new Set(kinds).size === kinds.length, { message: 'must name each kind once' })
      .optional(),
    /** Its lineage: what a fork shares with its parent is found, too. */
    discussionId: z.uuid().optional(),
    agentId: z.uuid().optional(),
    projectId: projectIdSchema.optional(),
    /** Inclusive. */
    from: time.optional(),
    /** Exclusive. */
    to: time.optional(),
    limit: z.int().min(1).max(100).default(10),
  })
  .refine(({ from, to }) => from === undefined || to === undefined || Date.parse(from) < Date.parse(to), {
    path: ['to'],
    message: 'must be later than from',
  });

const hit = z
  .strictObject({
    /** Higher is better; comparable within one answer only. */
    score: z.number(),
    kind: z.enum(passageKinds),
    /** Where it stands: the discussion itself, or one that it was forked from. */
    discussionId: z.uuid(),
    /** Null for people and documents. */
    agentId: z.uuid().nullable(),
    at: z.iso.datetime(),
    /** Words of the query stand at the ranges, in UTF-16 units, end exclusive. */
    snippet: z.strictObject({ text: z.string(), highlights: z.array(z.tuple([z.int(), z.int()])) }),
    event: z.strictObject({ id: z.uuid(), stream: z.string(), revision: z.int(), position: z.string() }),
  })
  .meta({ id: 'SearchHit' });

const exampleHit: z.input<typeof hit> = {
  score: 0.0328,
  kind: 'message',
  discussionId: '01890a5d-ac96-774b-bcce-b302099a8057',
  agentId: '01890a5d-ac96-774b-bcce-b302099a8050',
  at: '2025-01-31T12:00:04.000Z',
  snippet: {
    text: 'The Apache licence grants patents.',
    highlights: [
      [4, 10],
      [26, 33],
    ],
  },
  event: {
    id: '5d0f6a52-0f6c-5ab4-9d24-6f1a4c3f4a11',
    stream: 'discussion-01890a5d-ac96-774b-bcce-b302099a8057',
    revision: 7,
    position: '42',
  },
};

/** Finding again what was said. */
export function searchRoutes(ctx: ApiContext): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/search',
      operationId: 'search',
      summary: 'Find what was said, and in documents, by words, by meaning, or by both',
      tags: ['search'],
      auth: 'bearer',
      action: 'read',
      readsByPost: true,
      body,
      bodyExample: { query: 'Which licence grants patents?', kinds: ['message'], limit: 5 },
      problems: ['not-found', 'projection-behind'],
      responses: {
        200: {
          description: 'The best first',
          schema: z.strictObject({
            data: z.array(hit),
            mode: z.enum(modes),
            /** The model whose vectors were compared; null where only words were. */
            model: z.string().nullable(),
          }),
          example: { data: [exampleHit], mode: 'hybrid', model: 'builtin' },
        },
      },
      async handler(request) {
        const { query, mode, limit } = request.body;
        const filter = await filterOf(ctx, request, request.body);
        await awaitConsistency(ctx, request, reads[mode]);
        const { hits, model } = await ctx.search[mode]({ query, filter, limit }, { signal: request.signal });
        const texts = hits.map(({ passage }) => passage.text);
        const highlights = hits.length === 0 ? [] : await ctx.search.highlights(query, texts);
        return { body: { data: hits.map((each, i) => show(each, highlights[i] ?? [])), mode, model } };
      },
    }),
  ];
}

/** @throws Refusal `not-found` for a discussion or a project that the actor may not read. */
async function filterOf(
  ctx: ApiContext,
  request: RequestContext,
  { kinds, discussionId, agentId, projectId, from, to }: z.output<typeof body>,
): Promise<PassageFilter> {
  if (projectId !== undefined) await request.authorize({ project: projectId, kind: 'discussion' });
  const parts = discussionId === undefined ? undefined : await authorizeDiscussion(ctx, request, discussionId);
  return {
    projects: projectId === undefined ? await visibleProjects(ctx, request, 'discussion') : [projectId],
    ...(parts === undefined
      ? {}
      : { within: parts.map(({ discussionId: id, until }) => ({ discussionId: id, until })) }),
    ...(kinds === undefined ? {} : { kinds }),
    ...(agentId === undefined ? {} : { agentId }),
    ...(from === undefined ? {} : { from: inUtc(from) }),
    ...(to === undefined ? {} : { to: inUtc(to) }),
  };
}

function inUtc(time: string): string {
  const at = new Date(time);
  return Number.isNaN(at.getTime()) ? '' : at.toISOString();
}

function show({ passage, score }: PassageHit, highlights: [number, number][]): z.input<typeof hit> {
  const { kind, discussionId, agentId, at, text, eventId, stream, revision, position } = passage;
  return {
    score,
    kind,
    discussionId,
    agentId,
    at,
    snippet: { text, highlights },
    event: { id: eventId, stream, revision, position },
  };
}
