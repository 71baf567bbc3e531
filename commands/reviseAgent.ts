import { z } from 'zod';
import { decideAgent, type Agent } from '../domain/agent/agent.ts';
import { profileSchema, type AgentEvent, type AgentProfile } from '../domain/agent/events.ts';
import { agents } from './aggregate.ts';
import { dispatch, type Asked, type Outcome } from './dispatch.ts';
import type { Engine } from './engine.ts';

export const reviseAgentSchema = z.strictObject(profileSchema.partial().shape);

/** Makes a new version; discussions keep the version they pinned. */
export function reviseAgent(
  engine: Engine,
  id: string,
  body: z.output<typeof reviseAgentSchema>,
  asked: Asked,
): Promise<Outcome<Agent, AgentEvent>> {
  const changes: Partial<AgentProfile> = {
    ...(body.name === undefined ? {} : { name: body.name }),
    ...(body.instructions === undefined ? {} : { instructions: body.instructions }),
    ...(body.model === undefined ? {} : { model: body.model }),
    ...(body.fallbacks === undefined ? {} : { fallbacks: body.fallbacks }),
  };
  return dispatch(
    engine,
    agents,
    { id, action: 'write', decide: (state) => decideAgent(state, { kind: 'revise', changes }) },
    asked,
  );
}
