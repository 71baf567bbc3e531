import { openDiscussion, openDiscussionSchema } from '../commands/openDiscussion.ts';
import { registerAgent, registerAgentSchema } from '../commands/registerAgent.ts';
import type { Asked } from '../commands/dispatch.ts';
import type { Engine } from '../commands/engine.ts';
import type { AgentModel } from '../domain/agent/events.ts';
import type { Actor } from '../domain/ports.ts';

/** Five characters that see different things in the same text. */
export const demoAgents: readonly { name: string; instructions: string }[] = [
  {
    name: 'Ada',
    instructions: 'You are a careful engineer. Look for what could go wrong in practice, and ask for evidence.',
  },
  {
    name: 'Basil',
    instructions: 'You are a lawyer. Look at duties, rights and definitions, and quote the text exactly.',
  },
  {
    name: 'Clara',
    instructions: 'You are an optimist who builds communities. Look for what this makes possible, and for whom.',
  },
  {
    name: 'Dimitri',
    instructions: 'You are a sceptic. Doubt claims that are not supported, and name what is missing.',
  },
  {
    name: 'Esther',
    instructions: 'You are a moderator. Sum up where the others agree and differ, and move the talk on.',
  },
];

const actor: Actor = { kind: 'system', id: 'demo', grants: [{ project: '*', role: 'administrator' }] };

/** A command of the demo. */
export function askedByDemo(engine: Engine): Asked {
  const commandId = engine.ids.next();
  return { actor, commandId, keyed: false, correlationId: commandId };
}

/** Registers agents on one model. @returns their ids. */
export async function registerDemoAgents(engine: Engine, count: number, model: AgentModel): Promise<string[]> {
  const ids: string[] = [];
  for (const profile of demoAgents.slice(0, count))
    ids.push((await registerAgent(engine, registerAgentSchema.parse({ ...profile, model }), askedByDemo(engine))).id);
  return ids;
}

/** On an empty log: a few agents and one short discussion, so that there is something to look at. */
export async function holdDemoDiscussion(engine: Engine): Promise<void> {
  if ((await engine.store.head()) > 0n) return;
  const agents = await registerDemoAgents(engine, 3, { provider: 'offline', name: 'offline' });
  const body = openDiscussionSchema.parse({
    title: 'A demo discussion',
    topic:
      'Should a small team keep every change as an event, or only the present state? What does each choice cost later?',
    participants: agents.map((agentId) => ({ agentId })),
    limits: { maxTurns: 6 },
  });
  await openDiscussion(engine, body, askedByDemo(engine));
}
