/** Sample routes: each shows a way to write one, or a way to fail. */
import { z } from 'zod';
import { pageShape, queryBoolean } from '../../api/queryValues.ts';
import { type Answer, defineRoute, type Route } from '../../api/route.ts';
import { profileSchema } from '../../domain/agent/events.ts';
import { contentSchema } from '../../domain/content.ts';
import { Refusal, WrongExpectedRevision } from '../../domain/refusal.ts';

export interface Signals {
  /** How often the slow route saw its signal abort. */
  aborted: number;
}

const thingSchema = z.strictObject({ id: z.uuid(), name: z.string() }).meta({ id: 'Thing' });
export const THING = '01890a5d-ac96-774b-bcce-b302099a8057';
const thing = { id: THING, name: 'a thing' };
const idParams = z.strictObject({ id: z.uuid() });

/** Things: read, list, create, rename, stream; and faults. */
export function sampleRoutes(signals: Signals): Route[] {
  return [...readRoutes(), ...writeRoutes(), ...faultyRoutes(signals), streamRoute()];
}

function readRoutes(): Route[] {
  const reads = { method: 'get', tags: ['things'], auth: 'bearer', action: 'read' } as const;
  return [
    defineRoute({
      ...reads,
      path: '/things/{id}',
      operationId: 'getThing',
      summary: 'One thing',
      params: idParams,
      query: z.strictObject({ deep: queryBoolean().optional() }),
      responses: { 200: { description: 'It', schema: thingSchema, example: thing } },
      problems: ['not-found'],
      async handler({ params, authorize }) {
        await authorize({ project: 'alpha', kind: 'thing', id: params.id });
        return { body: { ...thing, id: params.id }, revision: 7 };
      },
    }),
    defineRoute({
      ...reads,
      path: '/things',
      operationId: 'listThings',
      summary: 'Things',
      query: z.strictObject(pageShape),
      responses: {
        200: {
          description: 'A page',
          schema: z.strictObject({ data: z.array(thingSchema), nextCursor: z.string().nullable(), limit: z.int() }),
          example: { data: [thing], nextCursor: null, limit: 50 },
        },
      },
      problems: [],
      handler: ({ query }) => ({ body: { data: [thing], nextCursor: null, limit: query.limit } }),
    }),
  ];
}

function writeRoutes(): Route[] {
  const writes = { method: 'post', tags: ['things'], auth: 'bearer', action: 'write' } as const;
  return [
    defineRoute({
      ...writes,
      path: '/things',
      operationId: 'createThing',
      summary: 'A new thing',
      body: z.strictObject({
        name: z.string().min(1).max(100),
        content: z.union([z.string(), contentSchema]).optional(),
        profile: profileSchema.optional(),
        format: z.json().optional(),
      }),
      bodyExample: { name: 'a thing' },
      responses: { 201: { description: 'Made', schema: z.record(z.string(), z.json()), example: { id: THING } } },
      problems: ['conflict', 'key-reused', 'in-flight'],
      async handler({ body, authorize, idempotencyKey, correlationId, requestId, traceparent }) {
        await authorize({ project: 'alpha', kind: 'thing' });
        return {
          body: {
            id: THING,
            name: body.name,
            key: idempotencyKey ?? null,
            correlationId,
            requestId,
            traceparent: traceparent ?? null,
          },
          revision: 0,
          consistencyToken: '42',
          headers: { Location: `/api/v1/things/${THING}` },
        };
      },
    }),
    defineRoute({
      ...writes,
      path: '/things/{id}/rename',
      operationId: 'renameThing',
      summary: 'Another name',
      params: idParams,
      responses: {
        200: { description: 'Done', schema: z.strictObject({ ifMatch: z.int().nullable() }), example: { ifMatch: 3 } },
      },
      problems: ['revision-mismatch'],
      handler({ ifMatch }) {
        if (ifMatch !== undefined && ifMatch !== 3)
          throw new Refusal('revision-mismatch', 'the thing is at revision 3', { actualRevision: 3 });
        return { body: { ifMatch: ifMatch ?? null } };
      },
    }),
  ];
}

/** One route per way to fail, chosen by the path. */
function faultyRoutes(signals: Signals): Route[] {
  const faults: Record<string, (signal: AbortSignal) => unknown> = {
    bug: () => {
      throw new TypeError('SELECT secret FROM table_x failed at /srv/app/file.ts');
    },
    text: () => {
      const thrown: unknown = 'a text';
      throw thrown;
    },
    behind: () => {
      throw new Refusal('projection-behind', 'discussions are 12 events behind', { retryAfterMs: 2_500 });
    },
    core: () => {
      throw new Refusal('internal', 'the codec found secret things');
    },
    revision: () => {
      throw new WrongExpectedRevision('thing-1', 3, 5);
    },
    undocumented: () => ({ status: 299 }),
    loose: () => ({ body: { unheard: true } }),
    slow: (signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          signals.aborted += 1;
          resolve({ body: {} });
        });
      }),
  };
  return Object.entries(faults).map(([name, fail]) =>
    defineRoute({
      method: 'get',
      path: `/faults/${name}`,
      operationId: `${name}Fault`,
      summary: 'Fails',
      tags: ['faults'],
      auth: 'bearer',
      action: 'read',
      problems: ['conflict', 'projection-behind'],
      responses: { 200: { description: 'Never', schema: z.strictObject({}), example: {} } },
      async handler({ signal }) {
        return (await fail(signal)) as Answer;
      },
    }),
  );
}

function streamRoute(): Route {
  return defineRoute({
    method: 'get',
    path: '/things/{id}/stream',
    operationId: 'streamThing',
    summary: 'A stream that never ends by itself',
    tags: ['things'],
    auth: 'stream',
    action: 'read',
    params: idParams,
    query: z.strictObject({ after: z.string().optional() }),
    problems: [],
    responses: {
      200: { description: 'Events', schema: z.string(), example: ': hello\n\n', contentType: 'text/event-stream' },
    },
    async handler({ res, actor, signal }) {
      res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store, no-transform' });
      res.write(`: hello ${actor.id}\n\n`);
      signal.addEventListener('abort', () => res.end());
      openStreams.add(res);
      res.once('close', () => openStreams.delete(res));
      return null;
    },
  });
}

const openStreams = new Set<{ end(text: string): unknown }>();

/** As the owner of streams does at a drain. */
export async function endOpenStreams(): Promise<void> {
  for (const stream of openStreams) stream.end('event: reconnect\ndata: {}\n\n');
}
