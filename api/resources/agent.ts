import { z } from 'zod';
import { fallbacksSchema, memorySchema, modelSchema } from '../../domain/agent/events.ts';
import type { AgentRow } from '../../projections/agents.ts';

export const agentSchema = z
  .strictObject({
    id: z.uuid(),
    projectId: z.string(),
    name: z.string(),
    instructions: z.string(),
    model: modelSchema,
    /** Asked in this order when the model before them failed. */
    fallbacks: fallbacksSchema,
    /** What it recalls before it speaks; null for nothing. */
    memory: memorySchema.nullable(),
    version: z.int(),
    retired: z.boolean(),
    revision: z.int(),
    registeredAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Agent' });

export const exampleAgentBody = {
  name: 'Ada',
  instructions: 'You are a careful engineer. Look for what could go wrong.',
  model: { provider: 'ollama' as const, name: 'qwen2.5:0.5b' },
  fallbacks: [{ provider: 'offline' as const, name: 'offline' }],
  memory: { scope: 'discussion' as const, k: 5, maxTokens: 600, minScore: 0.3 },
};

export const exampleAgent = {
  id: '01890a5d-ac96-774b-bcce-b302099a8057',
  projectId: 'default',
  ...exampleAgentBody,
  version: 1,
  retired: false,
  revision: 0,
  registeredAt: '2025-01-31T12:00:00.000Z',
  updatedAt: '2025-01-31T12:00:00.000Z',
};

/** An agent as the API shows it. */
export function showAgent(row: AgentRow): z.input<typeof agentSchema> {
  const { id, project, name, instructions, model, fallbacks, memory, version, retired, revision } = row;
  const { registeredAt, updatedAt } = row;
  const what = { name, instructions, model, fallbacks, memory, version, retired };
  return { id, projectId: project, ...what, revision, registeredAt, updatedAt };
}
