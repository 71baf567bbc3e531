import { z } from 'zod';
import { modelChain, profileAt } from '../domain/agent/agent.ts';
import type { Newcomer } from '../domain/discussion/commands.ts';
import { Refusal } from '../domain/refusal.ts';
import { lineOfText } from '../domain/text.ts';
import { agents } from './aggregate.ts';
import type { Engine } from './engine.ts';
import { load, refresh } from './states.ts';

const answerWithinMs = z.int().min(1000).max(31_536_000_000).optional();

/** Who is to take part: an agent at a version (its latest when not given), or a person. */
export const newcomerSchema = z.union([
  z.strictObject({ agentId: z.uuid(), version: z.int().min(1).optional(), answerWithinMs }),
  z.strictObject({ userId: lineOfText(200), name: lineOfText(64).optional(), answerWithinMs }),
]);
export type NewcomerBody = z.output<typeof newcomerSchema>;

/**
 * Pins an agent's version, or names a person.
 * @param at.pinnedBefore it takes part already: then it may be retired.
 * @param projectId the discussion's project: agents of another one are not found.
 * @throws Refusal `invalid` with a pointer when the agent is not there, is retired, or has no price where cost is limited.
 */
export async function newcomer(
  engine: Engine,
  body: NewcomerBody,
  projectId: string,
  at: { pointer: string; costLimited: boolean; pinnedBefore?: boolean },
): Promise<Newcomer> {
  const patience = body.answerWithinMs === undefined ? {} : { answerWithinMs: body.answerWithinMs };
  if ('userId' in body)
    return { kind: 'person', name: body.name ?? body.userId.slice(0, 64), userId: body.userId, ...patience };
  const stream = `agent-${body.agentId}`;
  let { state } = await load(engine, agents, stream);
  // Another process may have revised or retired it since it was cached.
  if (state.status !== 'none') ({ state } = await refresh(engine, agents, stream));
  const refuse = (code: string, detail: string) =>
    new Refusal('invalid', detail, { issues: [{ pointer: at.pointer, code, detail }] });
  if (state.status === 'none' || state.projectId !== projectId)
    throw refuse('unknown-agent', 'there is no such agent in this project');
  if (state.status === 'retired' && at.pinnedBefore !== true) throw refuse('retired-agent', 'this agent is retired');
  const version = body.version ?? state.versions.length;
  if (version > state.versions.length)
    throw refuse('unknown-version', `this agent has ${state.versions.length} version(s)`);
  const profile = profileAt(state, version);
  const { provider } = profile.model;
  const priceless = modelChain(profile).find((each) => each.provider !== 'offline' && each.provider !== 'ollama');
  if (at.costLimited && priceless !== undefined)
    throw refuse('no-price', `no price is known for ${priceless.provider}/${priceless.name}: leave out maxCostUsd`);
  if (provider !== 'external' && body.answerWithinMs !== undefined)
    throw refuse('not-waited-for', 'only people and external agents have a time to answer');
  return {
    kind: provider === 'external' ? 'external' : 'agent',
    name: profile.name,
    agentId: body.agentId,
    agentVersion: version,
    ...patience,
  };
}
