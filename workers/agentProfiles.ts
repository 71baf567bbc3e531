import { LRUCache } from 'lru-cache';
import { profileAt } from '../domain/agent/agent.ts';
import type { AgentProfile } from '../domain/agent/events.ts';
import { agents } from '../commands/aggregate.ts';
import type { Engine } from '../commands/engine.ts';
import { load, refresh } from '../commands/states.ts';

/** Profiles at pinned versions; a version never changes. */
export type AgentProfiles = (agentId: string, version: number) => Promise<AgentProfile>;

/** @param engine whose log holds the agents. */
export function createAgentProfiles(engine: Engine): AgentProfiles {
  const cache = new LRUCache<string, AgentProfile>({ max: 1000 });
  return async (agentId, version) => {
    const key = `${agentId}@${version}`;
    const found = cache.get(key);
    if (found !== undefined) return found;
    const stream = `agent-${agentId}`;
    let { state } = await load(engine, agents, stream);
    if (state.status === 'none' || state.versions.length < version) ({ state } = await refresh(engine, agents, stream));
    const profile = profileAt(state, version);
    cache.set(key, profile);
    return profile;
  };
}
