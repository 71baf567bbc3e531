import { v5 as uuidv5 } from 'uuid';
import { z } from 'zod';
import { decideAgent, type Agent } from '../domain/agent/agent.ts';
import { profileSchema, type AgentEvent } from '../domain/agent/events.ts';
import { projectIdSchema } from '../domain/project.ts';
import { agents } from './aggregate.ts';
import { dispatch, type Asked, type Outcome } from './dispatch.ts';
import type { Engine } from './engine.ts';

export const registerAgentSchema = z.strictObject({
  ...profileSchema.shape,
  projectId: projectIdSchema.default('default'),
});
export type RegisterAgent = z.output<typeof registerAgentSchema>;

/** Registers an agent; its id follows from the command, so a repetition meets its own stream. */
export function registerAgent(engine: Engine, body: RegisterAgent, asked: Asked): Promise<Outcome<Agent, AgentEvent>> {
  const { projectId, ...profile } = body;
  const id = uuidv5('agent', asked.commandId);
  const decide = (state: Agent) => decideAgent(state, { kind: 'register', projectId, profile });
  return dispatch(engine, agents, { id, action: 'write', createsIn: projectId, decide }, asked);
}
