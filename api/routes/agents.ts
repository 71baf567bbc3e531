import { z } from 'zod';
import type { Agent } from '../../domain/agent/agent.ts';
import type { AgentEvent } from '../../domain/agent/events.ts';
import type { Outcome } from '../../commands/dispatch.ts';
import { registerAgent, registerAgentSchema } from '../../commands/registerAgent.ts';
import { retireAgent } from '../../commands/retireAgent.ts';
import { reviseAgent, reviseAgentSchema } from '../../commands/reviseAgent.ts';
import { Refusal } from '../../domain/refusal.ts';
import { projectIdSchema } from '../../domain/project.ts';
import type { AgentRow } from '../../projections/agents.ts';
import { agents } from '../../commands/aggregate.ts';
import { askedOf, awaitConsistency, consistencyToken, visibleProjects, type ApiContext } from '../context.ts';
import { rowOnceSeen } from '../rowOnceSeen.ts';
import { cursorKey, pageOf } from '../page.ts';
import { pageShape, queryBoolean, queryInteger } from '../queryValues.ts';
import { agentSchema, exampleAgent, exampleAgentBody, showAgent } from '../resources/agent.ts';
import { defineRoute, type Answer, type Route } from '../route.ts';

const params = z.strictObject({ id: z.uuid() });
const common = { tags: ['agents'], auth: 'bearer' } as const;
const outcome = {
  schema: z.strictObject({ id: z.uuid(), version: z.int(), revision: z.int() }).meta({ id: 'AgentOutcome' }),
  example: { id: exampleAgent.id, version: 1, revision: 0 },
};

/** Agents: register, read, revise (a new version), retire. */
export function agentRoutes(ctx: ApiContext): Route[] {
  return [...writeRoutes(ctx), ...readRoutes(ctx)];
}

function writeRoutes(ctx: ApiContext): Route[] {
  return [
    defineRoute({
      ...common,
      method: 'post',
      path: '/agents',
      operationId: 'registerAgent',
      summary: 'Register an agent',
      action: 'write',
      body: registerAgentSchema,
      bodyExample: exampleAgentBody,
      problems: ['key-reused', 'in-flight'],
      responses: { 201: { description: 'Registered', ...outcome } },
      async handler(request) {
        const done = await registerAgent(ctx.engine, request.body, askedOf(ctx, request, request.body.projectId));
        return { ...answer(done), headers: { Location: `/api/v1/agents/${done.id}` } };
      },
    }),
    defineRoute({
      ...common,
      method: 'patch',
      path: '/agents/{id}',
      operationId: 'reviseAgent',
      summary: 'Make a new version; discussions keep the one they pinned',
      action: 'write',
      params,
      body: reviseAgentSchema,
      bodyExample: { instructions: 'You are a careful engineer. Ask for numbers.' },
      problems: ['not-found', 'conflict', 'revision-mismatch', 'key-reused', 'in-flight'],
      responses: { 200: { description: 'Revised', ...outcome } },
      handler: async (request) =>
        answer(await reviseAgent(ctx.engine, request.params.id, request.body, askedOf(ctx, request))),
    }),
    defineRoute({
      ...common,
      method: 'delete',
      path: '/agents/{id}',
      operationId: 'retireAgent',
      summary: 'Retire an agent: it joins no further discussions',
      action: 'write',
      params,
      problems: ['not-found', 'conflict', 'revision-mismatch'],
      responses: { 200: { description: 'Retired', ...outcome } },
      handler: async (request) => answer(await retireAgent(ctx.engine, request.params.id, askedOf(ctx, request))),
    }),
  ];
}

function readRoutes(ctx: ApiContext): Route[] {
  return [
    defineRoute({
      ...common,
      method: 'get',
      path: '/agents',
      operationId: 'listAgents',
      summary: 'Agents, the newest first',
      action: 'read',
      query: z.strictObject({
        ...pageShape,
        projectId: projectIdSchema.optional(),
        retired: queryBoolean().optional(),
      }),
      problems: ['not-found', 'projection-behind'],
      responses: {
        200: {
          description: 'A page',
          schema: z.strictObject({ data: z.array(agentSchema), nextCursor: z.string().nullable() }),
          example: { data: [exampleAgent], nextCursor: null },
        },
      },
      async handler(request) {
        await awaitConsistency(ctx, request, ['agents']);
        const { limit, cursor, projectId, retired } = request.query;
        if (projectId !== undefined) await request.authorize({ project: projectId, kind: 'agent' });
        const before = cursorKey(cursor);
        const projects = projectId === undefined ? await visibleProjects(ctx, request, 'agent') : [projectId];
        const rows = await ctx.agents.list({
          projects,
          limit: limit + 1,
          ...(retired === undefined ? {} : { retired }),
          ...(before === undefined ? {} : { before }),
        });
        return pageOf(request, rows, limit, (row) => row.registeredPosition, showAgent);
      },
    }),
    defineRoute({
      ...common,
      method: 'get',
      path: '/agents/{id}',
      operationId: 'getAgent',
      summary: 'One agent, at its latest or a given version',
      action: 'read',
      params,
      query: z.strictObject({ version: queryInteger(1, 1_000_000).optional() }),
      problems: ['not-found', 'projection-behind'],
      responses: { 200: { description: 'The agent', schema: agentSchema, example: exampleAgent } },
      async handler(request) {
        await awaitConsistency(ctx, request, ['agents']);
        const row = await rowOnceSeen(ctx, request, agents, request.params.id, () => ctx.agents.one(request.params.id));
        await request.authorize({ project: row.project, kind: 'agent', id: row.id });
        return showVersion(ctx, row, request.query.version);
      },
    }),
  ];
}

async function showVersion(ctx: ApiContext, row: AgentRow, version: number | undefined): Promise<Answer> {
  const shown = showAgent(row);
  if (version === undefined || version === row.version) return { body: shown, revision: row.revision };
  const old = await ctx.agents.version(row.id, version);
  if (old === null) throw new Refusal('not-found', `this agent has no version ${version}`);
  const { name, instructions, model, fallbacks, memory, at } = old;
  return { body: { ...shown, name, instructions, model, fallbacks, memory, version, updatedAt: at } };
}

function answer({ id, state, revision, position, replayed }: Outcome<Agent, AgentEvent>): Answer {
  const version = state.status === 'none' ? 0 : state.versions.length;
  return { body: { id, version, revision }, revision, consistencyToken: consistencyToken(position), replayed };
}
