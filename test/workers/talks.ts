/** Discussions for tests of the workers: opening, waiting, and reading what the log says of them. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Asked } from '../../commands/dispatch.ts';
import { openDiscussion, openDiscussionSchema } from '../../commands/openDiscussion.ts';
import { registerAgent, registerAgentSchema } from '../../commands/registerAgent.ts';
import type { DiscussionEvent } from '../../domain/discussion/events.ts';
import type { RecordedEvent } from '../../domain/envelope.ts';
import type { EventStore } from '../../domain/ports.ts';
import type { TestEngine } from './engineForTests.ts';

export type Recorded = DiscussionEvent & RecordedEvent;

/** A command of somebody who may do everything. */
export function asked(of: Pick<TestEngine, 'engine'>, userId = 'tester'): Asked {
  const commandId = of.engine.ids.next();
  const grants = [{ project: '*', role: 'administrator' }];
  return { actor: { kind: 'user', id: userId, grants }, commandId, keyed: false, correlationId: commandId };
}

/** Registers an agent on a model of the scripted provider. @returns its id. */
export async function anAgent(
  of: Pick<TestEngine, 'engine'>,
  name: string,
  model: { provider?: string; name: string; parameters?: Record<string, unknown> },
  projectId?: string,
): Promise<string> {
  const body = registerAgentSchema.parse({
    name,
    projectId,
    instructions: `You are ${name}.`,
    model: { provider: 'offline', ...model },
  });
  return (await registerAgent(of.engine, body, asked(of))).id;
}

/** Opens a discussion of agents that share one scripted model. @returns its id. */
export async function talk(
  of: TestEngine,
  model: string | readonly string[],
  more: Record<string, unknown> = {},
): Promise<string> {
  const names = ['Ada', 'Basil', 'Clara', 'Dimitri', 'Esther'];
  const models = typeof model === 'string' ? [model, model, model] : model;
  const participants: { agentId: string }[] = [];
  for (const [i, each] of models.entries())
    participants.push({ agentId: await anAgent(of, names[i] ?? `Agent ${i}`, { name: each }) });
  return open(of, { participants, ...more });
}

/** Opens a discussion. @returns its id. */
export async function open(of: Pick<TestEngine, 'engine'>, body: Record<string, unknown>): Promise<string> {
  const given = { title: 'A test', topic: 'What is worth testing?', limits: { maxTurns: 3 }, ...body };
  return (await openDiscussion(of.engine, openDiscussionSchema.parse(given), asked(of))).id;
}

/** The discussion's events, in order. */
export async function history(of: Pick<TestEngine, 'store'>, id: string): Promise<Recorded[]> {
  const events: Recorded[] = [];
  for await (const event of of.store.read(`discussion-${id}`)) events.push(event as Recorded);
  return events;
}

/** The events of one type. */
export function only<T extends DiscussionEvent['type']>(
  events: readonly Recorded[],
  type: T,
): Extract<Recorded, { type: T }>[] {
  return events.filter((event): event is Extract<Recorded, { type: T }> => event.type === type);
}

/** Follows the discussion until an event of it satisfies; answers with its whole history then. */
export async function untilEvent(
  of: { readonly store: EventStore },
  id: string,
  wanted: (event: Recorded, all: readonly Recorded[]) => boolean,
  withinMs = 8_000,
): Promise<Recorded[]> {
  const events: Recorded[] = [];
  const signal = AbortSignal.timeout(withinMs);
  for await (const slice of of.store.subscribe(0n, { signal }))
    for (const event of slice.events) {
      if (event.stream !== `discussion-${id}`) continue;
      events.push(event as Recorded);
      if (wanted(event as Recorded, events)) return events;
    }
  throw new Error(`not within ${withinMs} ms: ${events.map(({ type }) => type).join(' ')}`);
}

/** Waits for the end of the discussion. */
export async function untilConcluded(
  of: { readonly store: EventStore },
  id: string,
  withinMs?: number,
): Promise<Recorded[]> {
  return untilEvent(of, id, ({ type }) => type === 'DiscussionConcluded', withinMs);
}

/** Waits until something that is no event holds. */
export async function until(holds: () => boolean | Promise<boolean>, withinMs = 5_000): Promise<void> {
  const start = performance.now();
  while (!(await holds())) {
    if (performance.now() - start > withinMs) throw new Error(`did not come true within ${withinMs} ms`);
    await delay(10);
  }
}

/** Types of the events from the first turn on, for a failure's message. */
export function shape(events: readonly Recorded[]): string {
  return events
    .map(({ type }) => type)
    .filter((type) => type.startsWith('Turn') || type.startsWith('DiscussionC') || type.startsWith('DiscussionP'))
    .join(' ');
}
