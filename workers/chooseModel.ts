import { modelChain } from '../domain/agent/agent.ts';
import type { AgentModel, AgentProfile } from '../domain/agent/events.ts';
import type { Chain } from '../domain/discussion/chain.ts';
import type { OpenTurn } from '../domain/discussion/state.ts';
import type { Circuits } from './circuit.ts';

/** Which model an attempt asks; `chain` for agents with fall-backs. */
export interface Choice {
  readonly model: AgentModel;
  readonly chain?: Chain;
}

/**
 * The model that the discussion's state names, or the next one whose provider is not left alone at the moment.
 * @returns milliseconds to wait when all are.
 */
export function chooseModel(profile: AgentProfile, turn: OpenTurn, circuits: Circuits): Choice | number {
  const models = modelChain(profile);
  const { length } = models;
  let shortestMs = Infinity;
  for (let i = 0; i < length; i += 1) {
    const index = (turn.nextModel + i) % length;
    const model = models[index];
    if (model === undefined || turn.spentModels.includes(index)) continue;
    const waitMs = circuits.waitMs(model.provider, turn.turnId);
    shortestMs = Math.min(shortestMs, waitMs);
    if (waitMs > 0) continue;
    if (length === 1) return { model };
    const reason = i === 0 ? ('failed' as const) : ('circuit_open' as const);
    return { model, chain: { index, length, ...(index === 0 ? {} : { reason }) } };
  }
  return shortestMs;
}
