import { Refusal } from '../refusal.ts';
import type { AgentEvent, AgentMemory, AgentModel, AgentProfile } from './events.ts';

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

/** What a new version has that the one before had not; a memory of null takes it away. */
export type AgentChanges = Partial<Omit<AgentProfile, 'memory'>> & { readonly memory?: AgentMemory | null };

export type AgentCommand =
  | { readonly kind: 'register'; readonly projectId: string; readonly profile: AgentProfile }
  | { readonly kind: 'revise'; readonly changes: AgentChanges }
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

/**
 * @throws Refusal when the state forbids it (`conflict`), there is no such agent (`not-found`), or its fall-backs or memory do
 * not go with its model (`invalid`).
 */
export function decideAgent(state: Agent, command: AgentCommand): AgentEvent[] {
  if (command.kind === 'register') {
    if (state.status !== 'none') throw new Refusal('conflict', 'this agent exists already');
    const profile = consistent(command.profile);
    return [{ type: 'AgentRegistered', data: { projectId: command.projectId, profile } }];
  }
  if (state.status === 'none') throw new Refusal('not-found', 'there is no such agent');
  if (state.status === 'retired') throw new Refusal('conflict', 'the agent is retired');
  if (command.kind === 'retire')
    return [{ type: 'AgentRetired', data: command.reason === undefined ? {} : { reason: command.reason } }];
  if (Object.keys(command.changes).length === 0)
    throw new Refusal('invalid', 'nothing to change: give name, instructions, model, fallbacks or memory');
  if (state.versions.length >= MAX_VERSIONS)
    throw new Refusal('conflict', `an agent has at most ${MAX_VERSIONS} versions: register a new one`);
  const profile = consistent(revised(profileAt(state, state.versions.length), command.changes));
  return [{ type: 'AgentRevised', data: { version: state.versions.length + 1, profile } }];
}

function revised({ memory, ...before }: AgentProfile, { memory: given, ...changes }: AgentChanges): AgentProfile {
  const kept = given === undefined ? memory : given;
  return { ...before, ...changes, ...(kept == null ? {} : { memory: kept }) };
}

/** The agent's models in the order in which they are asked: its own, then its fall-backs. */
export function modelChain({ model, fallbacks = [] }: AgentProfile): readonly [AgentModel, ...AgentModel[]] {
  return [model, ...fallbacks];
}

/** A revision may change one of the two alone, so no schema of a request can check this. */
function consistent(profile: AgentProfile): AgentProfile {
  const [own, ...others] = modelChain(profile);
  if (others.length > 0 && own.provider === 'external')
    throw unfit('/fallbacks', 'not-asked', 'an agent that runs elsewhere has no fall-backs');
  if (profile.memory !== undefined && own.provider === 'external')
    throw unfit('/memory', 'not-asked', 'an agent that runs elsewhere is shown no prompt that could recall anything');
  if (others.some(({ provider, name }) => provider === own.provider && name === own.name))
    throw unfit(
      '/fallbacks',
      'same-model',
      `${own.provider}/${own.name} is the model of the agent: it cannot be its fall-back too`,
    );
  return profile;
}

function unfit(pointer: string, code: string, detail: string): Refusal {
  return new Refusal('invalid', detail, { issues: [{ pointer, code, detail }] });
}

/** @throws Refusal `not-found` when the agent has no such version. */
export function profileAt(agent: Agent, version: number): AgentProfile {
  const profile = agent.status === 'none' ? undefined : agent.versions[version - 1];
  if (profile === undefined) throw new Refusal('not-found', `there is no version ${version} of this agent`);
  return profile;
}
