import { z } from 'zod';
import { actorSchema } from '../../domain/envelope.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { ApiContext } from '../context.ts';
import { queryInteger } from '../queryValues.ts';
import { defineRoute, type Answer, type RequestContext, type Route } from '../route.ts';
import { traceOf, type TraceStart } from '../trace.ts';

const traced = z.strictObject({
  id: z.uuid(),
  type: z.string(),
  revision: z.int(),
  position: z.string(),
  turnId: z.uuid().nullable(),
  attempt: z.int().nullable(),
  reason: z.string().nullable(),
});
const step = z
  .strictObject({
    relation: z.enum(['cause', 'asked', 'consequence']),
    commandId: z.uuid(),
    requestId: z.string().nullable(),
    correlationId: z.string(),
    causationId: z.uuid().nullable(),
    traceparent: z.string().nullable(),
    actor: actorSchema,
    occurredAt: z.iso.datetime(),
    project: z.string(),
    stream: z.string(),
    events: z.array(traced),
  })
  .meta({ id: 'TraceStep' });
const schema = z.strictObject({
  /** What the id was found to be. */
  found: z.enum(['event', 'command', 'request']),
  data: z.array(step),
  omitted: z.int(),
});
const example = {
  found: 'event' as const,
  data: [
    {
      relation: 'asked' as const,
      commandId: '0195f1c5-26f0-7c5a-b49d-246f1a4c3f4a',
      requestId: '0195f1c5-26f0-7c5a-b49d-246f1a4c3f4b',
      correlationId: '0195f1c5-26f0-7c5a-b49d-246f1a4c3f4b',
      causationId: null,
      traceparent: null,
      actor: { kind: 'user' as const, id: 'grace' },
      occurredAt: '2025-01-31T12:00:05.000Z',
      project: 'default',
      stream: 'discussion-01890a5d-ac96-774b-bcce-b302099a8057',
      events: [
        {
          id: '5d0f6a52-0f6c-5ab4-9d24-6f1a4c3f4a11',
          type: 'DiscussionPaused',
          revision: 6,
          position: '42',
          turnId: null,
          attempt: null,
          reason: 'requested',
        },
      ],
    },
  ],
  omitted: 0,
};
const limit = queryInteger(2, 1000).default(100);
const common = { method: 'get', tags: ['events'], auth: 'bearer', action: 'read', problems: ['not-found'] } as const;
const responses = { 200: { description: 'The chain, oldest first', schema, example } };

/** Streams that one request or correlation is followed in. */
const MAX_STREAMS = 20;

/** Who, when, why: from the request to the turn. */
export function traceRoutes(ctx: ApiContext): Route[] {
  return [
    defineRoute({
      ...common,
      path: '/events/{eventId}/trace',
      operationId: 'traceEvent',
      summary: 'The chain of requests, commands and events around an event, a command or a request, by its id',
      params: z.strictObject({ eventId: z.uuid() }),
      query: z.strictObject({
        limit,
        /** The event's stream, where the log does not find events by their id alone. */
        stream: z
          .string()
          .regex(/^[a-z]+-[0-9a-f-]{36}$/)
          .optional(),
      }),
      responses,
      handler: async (request) => answer(ctx, request, request.params.eventId, request.query),
    }),
    defineRoute({
      ...common,
      path: '/traces',
      operationId: 'traceRequest',
      summary: 'What a request, or all requests of one correlation, led to',
      query: z.strictObject({ limit, id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{7,99}$/) }),
      responses,
      handler: async (request) => answer(ctx, request, request.query.id, request.query),
    }),
  ];
}

async function answer(
  ctx: ApiContext,
  request: RequestContext,
  id: string,
  { limit: most, stream }: { limit: number; stream?: string | undefined },
): Promise<Answer> {
  const { found, starts } = await startsOf(ctx, id, stream);
  const steps = [];
  let omitted = 0;
  for (const start of starts.slice(0, MAX_STREAMS)) {
    const trace = await traceOf(ctx.engine.store, start, most);
    const [first] = trace.steps;
    const [kind = '', ...rest] = start.stream.split('-');
    const object = { project: first?.project ?? '', kind, id: rest.join('-') };
    if (first === undefined || !(await ctx.engine.authorizer.may(request.actor, 'read', object))) continue;
    steps.push(...trace.steps);
    omitted += trace.omitted;
  }
  if (steps.length === 0) throw new Refusal('not-found', missing(ctx, stream));
  steps.sort((a, b) => (BigInt(a.events[0]?.position ?? 0) < BigInt(b.events[0]?.position ?? 0) ? -1 : 1));
  const data = steps.slice(0, most);
  return { body: { found, data, omitted: omitted + steps.length - data.length } };
}

function missing({ traces }: ApiContext, stream: string | undefined): string {
  if (traces.findEvent !== null || stream !== undefined) return 'there is no event, command or request with this id';
  return 'there is no command or request with this id; for an event name its stream, too (?stream=), since this log does not find events by their id alone';
}

async function startsOf(
  { engine, traces }: ApiContext,
  id: string,
  stream: string | undefined,
): Promise<{ found: 'event' | 'command' | 'request'; starts: readonly TraceStart[] }> {
  const { row } = await traces.commands.find(id);
  if (row !== null) return { found: 'command', starts: [{ stream: row.stream, commandIds: new Set([row.commandId]) }] };
  const commandId = await commandOfEvent();
  if (commandId !== null) return { found: 'event', starts: [commandId] };
  const commandIds = new Map<string, Set<string>>();
  for (const each of await traces.commands.askedOverHttp(id, 200))
    commandIds.set(each.stream, (commandIds.get(each.stream) ?? new Set()).add(each.commandId));
  return { found: 'request', starts: [...commandIds].map(([name, ids]) => ({ stream: name, commandIds: ids })) };

  async function commandOfEvent(): Promise<TraceStart | null> {
    if (!z.uuid().safeParse(id).success) return null;
    const place = stream === undefined ? await traces.findEvent?.(id) : { stream, revision: undefined };
    if (place === undefined || place === null) return null;
    const range = place.revision === undefined ? {} : { from: place.revision, limit: 1 };
    for await (const event of engine.store.read(place.stream, range))
      if (event.id === id) return { stream: place.stream, commandIds: new Set([event.metadata.commandId]) };
    return null;
  }
}
