import { z } from 'zod';
import type { Operation } from '../../domain/operation.ts';
import type { ProjectionControl } from '../projectionControl.ts';
import type { RebuildRequest } from '../rebuildOperations.ts';
import { queryBoolean } from '../queryValues.ts';
import { defineRoute, type Route } from '../route.ts';
import { exampleOperation, operationSchema } from './operations.ts';

const behind = z.int().nullable().describe('events that are not applied yet; null where positions have gaps');
const position = z.string().describe('of the last event applied');
const schema = z
  .strictObject({
    name: z.string(),
    schemaVersion: z.int(),
    version: z.int().nullable(),
    status: z.enum(['live', 'paused', 'missing']),
    position,
    behind,
    lagSeconds: z.number(),
    paused: z.boolean(),
    stale: z.string().nullable().describe('why it should be rebuilt'),
    building: z
      .strictObject({
        version: z.int(),
        position,
        behind,
        operationId: z.uuid().nullable(),
        running: z.boolean(),
      })
      .nullable(),
    previous: z.strictObject({ version: z.int(), position }).nullable(),
    failed: z.strictObject({ version: z.int(), error: z.string() }).nullable(),
    oldVersions: z.array(
      z.strictObject({ version: z.int(), schemaVersion: z.int(), status: z.string(), position: z.string() }),
    ),
  })
  .meta({ id: 'Projection' });
const example = {
  name: 'discussions',
  schemaVersion: 1,
  version: 2,
  status: 'live' as const,
  position: '420',
  behind: 0,
  lagSeconds: 0,
  paused: false,
  stale: null,
  building: null,
  previous: { version: 1, position: '400' },
  failed: null,
  oldVersions: [],
};
const planSchema = z.strictObject({
  plan: z.array(
    z.strictObject({
      name: z.string(),
      stale: z.string().nullable(),
      events: z.int().nullable(),
      resumes: z.boolean(),
      estimatedSeconds: z.int().nullable(),
    }),
  ),
});
const planExample = {
  plan: [{ name: 'discussions', stale: null, events: 420, resumes: false, estimatedSeconds: 1 }],
};
const rebuildExample = { ...exampleOperation, kind: 'projection-rebuild' };
const one = z.strictObject({ name: z.string().regex(/^[a-z][a-z-]{0,50}$/) });
const common = { tags: ['projections'], auth: 'bearer' } as const;
const administers = { ...common, action: 'administer' } as const;

const pace = {
  fast: z.boolean().default(false).describe('as fast as it goes; otherwise live reads keep their pace'),
  dryRun: z.boolean().default(false).describe('only says what would be done'),
};
const rebuildOne = z.strictObject(pace).meta({ id: 'RebuildOne' });
const rebuildMany = z
  .strictObject({
    names: z.array(one.shape.name).min(1).max(100).optional(),
    allStale: z.boolean().default(false),
    maxConcurrent: z.int().min(1).max(16).default(2),
    ...pace,
  })
  .refine(({ names, allStale }) => (names === undefined) === allStale, { message: 'give names, or allStale' })
  .meta({ id: 'RebuildMany' });

const planned = { description: 'What would be done, or nothing was stale', schema: planSchema, example: planExample };
const accepted = { description: 'Begun: follow the operation', schema: operationSchema, example: rebuildExample };

/** The read models, how far they are, and what operators do with them. */
export function projectionRoutes(control: ProjectionControl): Route[] {
  return [...readRoutes(control), ...rebuildRoutes(control), ...operationRoutes(control), ...versionRoutes(control)];
}

function readRoutes(control: ProjectionControl): Route[] {
  return [
    defineRoute({
      ...common,
      method: 'get',
      path: '/projections',
      operationId: 'listProjections',
      summary: 'All read models',
      action: 'read',
      problems: ['not-found'],
      responses: {
        200: {
          description: 'All of them',
          schema: z.strictObject({ data: z.array(schema) }),
          example: { data: [example] },
        },
      },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'projection' });
        return { body: { data: await control.list() } };
      },
    }),
    defineRoute({
      ...common,
      method: 'get',
      path: '/projections/{name}',
      operationId: 'getProjection',
      summary: 'One read model, its live version',
      action: 'read',
      params: one,
      problems: ['not-found'],
      responses: { 200: { description: 'The read model', schema, example } },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'projection' });
        return { body: await control.get(request.params.name) };
      },
    }),
  ];
}

async function planOrStart(control: ProjectionControl, request: RebuildRequest, dryRun: boolean) {
  if (dryRun || request.names.length === 0) return { body: { plan: await control.plan(request) } };
  const operation = await control.rebuild(request);
  return { status: 202, body: operation, headers: { Location: `/api/v1/operations/${operation.id}` } };
}

function rebuildRoutes(control: ProjectionControl): Route[] {
  const shared = {
    ...administers,
    method: 'post',
    problems: ['invalid', 'not-found', 'conflict', 'rate-limited'],
    responses: { 200: planned, 202: accepted },
  } as const;
  return [
    defineRoute({
      ...shared,
      path: '/projections/rebuild',
      operationId: 'rebuildProjections',
      summary: 'Build several read models anew from the log, beside the live ones',
      body: rebuildMany,
      bodyExample: { allStale: true, fast: true },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'projection' });
        const { names, fast, maxConcurrent, dryRun } = request.body;
        const stale = async () => (await control.list()).filter((each) => each.stale !== null).map(({ name }) => name);
        return planOrStart(control, { names: names ?? (await stale()), fast, maxConcurrent }, dryRun);
      },
    }),
    defineRoute({
      ...shared,
      path: '/projections/{name}/rebuild',
      operationId: 'rebuildProjection',
      summary: 'Build a read model anew from the log, beside the live one',
      params: one,
      body: rebuildOne,
      bodyExample: { fast: true },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'projection' });
        const { fast, dryRun } = request.body;
        return planOrStart(control, { names: [request.params.name], fast, maxConcurrent: 1 }, dryRun);
      },
    }),
  ];
}

function operationRoutes(control: ProjectionControl): Route[] {
  const route = <Q extends z.ZodObject>(
    verb: 'rollback' | 'diff',
    summary: string,
    query: Q,
    start: (name: string, query: z.output<Q>) => Promise<Operation>,
  ): Route =>
    defineRoute({
      ...administers,
      method: 'post',
      path: `/projections/{name}/${verb}`,
      operationId: `${verb}Projection`,
      summary,
      params: one,
      query,
      problems: ['not-found', 'conflict', 'rate-limited'],
      responses: { 202: accepted },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'projection' });
        const operation = await start(request.params.name, request.query);
        return { status: 202, body: operation, headers: { Location: `/api/v1/operations/${operation.id}` } };
      },
    });
  const repair = queryBoolean().default(false).describe('mend what differs; for `embeddings` only');
  return [
    route('rollback', 'Make the previous version the live one again', z.strictObject({}), (name) =>
      control.rollback(name),
    ),
    route('diff', 'Compare the live tables with the log, row by row', z.strictObject({ repair }), (name, options) =>
      control.diff(name, options),
    ),
  ];
}

function versionRoutes(control: ProjectionControl): Route[] {
  const route = (verb: 'pause' | 'resume', summary: string): Route =>
    defineRoute({
      ...administers,
      method: 'post',
      path: `/projections/{name}/${verb}`,
      operationId: `${verb}Projection`,
      summary,
      params: one,
      problems: ['not-found'],
      responses: { 200: { description: 'The read model', schema, example } },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'projection' });
        return { body: await control.setPaused(request.params.name, verb === 'pause') };
      },
    });
  return [
    route('pause', 'Apply no more events to a read model; the others go on'),
    route('resume', 'Apply events to a read model again'),
    defineRoute({
      ...administers,
      method: 'delete',
      path: '/projections/{name}/versions/{version}',
      operationId: 'dropProjectionVersion',
      summary: 'Drop a version that is not the one that is read',
      params: one.extend({ version: z.coerce.number().int().min(1).max(2_147_483_647) }),
      problems: ['not-found', 'conflict'],
      responses: { 200: { description: 'The read model without it', schema, example } },
      async handler(request) {
        await request.authorize({ project: '*', kind: 'projection' });
        return { body: await control.drop(request.params.name, request.params.version) };
      },
    }),
  ];
}
