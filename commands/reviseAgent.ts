import { z } from 'zod';
import { decideAgent, type Agent, type AgentChanges } from '../domain/agent/agent.ts';
import { memorySchema, profileSchema, type AgentEvent } from '../domain/agent/events.ts';
import { agents } from './aggregate.ts';
import { dispatch, type Asked, type Outcome } from './dispatch.ts';
import type { Engine } from './engine.ts';

export const reviseAgentSchema = z.strictObject({
  ...profileSchema.partial().shape,
  /** Null takes it away. */
  memory: memorySchema.nullable().optional(),
});

/** Makes a new version; discussions keep the version they pinned. */
export function reviseAgent(
  engine: Engine,
  id: string,
  body: z.output<typeof reviseAgentSchema>,
  asked: Asked,
): Promise<Outcome<Agent, AgentEvent>> {
  const changes: AgentChanges = {
    ...(body.name === undefined ? {} : { name: body.name }),
    ...(body.instructions === undefined ? {} : { instructions: body.instructions }),
    ...(body.model === undefined ? {} : { model: body.model }),
    ...(body.fallbacks === undefined ? {} : { fallbacks: body.fallbacks }),
    ...(body.memory === undefined ? {} : { memory: body.memory }),
  };
  return dispatch(
    engine,
    agents,
    { id, action: 'write', decide: (state) => decideAgent(state, { kind: 'revise', changes }) },
    asked,
  );
}
