import { decideAgent, type Agent } from '../domain/agent/agent.ts';
import type { AgentEvent } from '../domain/agent/events.ts';
import { agents } from './aggregate.ts';
import { dispatch, type Asked, type Outcome } from './dispatch.ts';
import type { Engine } from './engine.ts';

/** Retires an agent: it joins no further discussions, those it is in go on. */
export function retireAgent(engine: Engine, id: string, asked: Asked): Promise<Outcome<Agent, AgentEvent>> {
  return dispatch(
    engine,
    agents,
    { id, action: 'write', decide: (state) => decideAgent(state, { kind: 'retire' }) },
    asked,
  );
}
