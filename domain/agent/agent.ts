import { Refusal } from '../refusal.ts';
import type { AgentEvent, AgentProfile } from './events.ts';

export type Agent =
  | { readonly status: 'none' }
  | {
      readonly status: 'registered' | 'retired';
      readonly projectId: string;
      /** Profile of version n at index n − 1: versions stay, discussions pin one. */
      readonly versions: readonly AgentProfile[];
    };

/** Version of this fold: snapshots of another one do not count. */
export const AGENT_FOLD = 1;

const MAX_VERSIONS = 1000;

export type AgentCommand =
  | { readonly kind: 'register'; readonly projectId: string; readonly profile: AgentProfile }
  | { readonly kind: 'revise'; readonly changes: Partial<AgentProfile> }
  | { readonly kind: 'retire'; readonly reason?: string };

/** Total: an event that does not fit the state changes nothing. */
export function evolveAgent(state: Agent, event: AgentEvent): Agent {
  switch (event.type) {
    case 'AgentRegistered':
      return { status: 'registered', projectId: event.data.projectId, versions: [event.data.profile] };
    case 'AgentRevised':
      return state.status === 'none' ? state : { ...state, versions: [...state.versions, event.data.profile] };
    case 'AgentRetired':
      return state.status === 'none' ? state : { ...state, status: 'retired' };
    default:
      return state;
  }
}

/** @throws Refusal when the state forbids it (`conflict`) or there is no such agent (`not-found`). */
export function decideAgent(state: Agent, command: AgentCommand): AgentEvent[] {
  if (command.kind === 'register') {
    if (state.status !== 'none') throw new Refusal('conflict', 'this agent exists already');
    return [{ type: 'AgentRegistered', data: { projectId: command.projectId, profile: command.profile } }];
  }
  if (state.status === 'none') throw new Refusal('not-found', 'there is no such agent');
  if (state.status === 'retired') throw new Refusal('conflict', 'the agent is retired');
  if (command.kind === 'retire')
    return [{ type: 'AgentRetired', data: command.reason === undefined ? {} : { reason: command.reason } }];
  if (Object.keys(command.changes).length === 0)
    throw new Refusal('invalid', 'nothing to change: give name, instructions or model');
  if (state.versions.length >= MAX_VERSIONS)
    throw new Refusal('conflict', `an agent has at most ${MAX_VERSIONS} versions: register a new one`);
  const profile = { ...profileAt(state, state.versions.length), ...command.changes };
  return [{ type: 'AgentRevised', data: { version: state.versions.length + 1, profile } }];
}

/** @throws Refusal `not-found` when the agent has no such version. */
export function profileAt(agent: Agent, version: number): AgentProfile {
  const profile = agent.status === 'none' ? undefined : agent.versions[version - 1];
  if (profile === undefined) throw new Refusal('not-found', `there is no version ${version} of this agent`);
  return profile;
}
