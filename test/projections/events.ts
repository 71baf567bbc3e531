/** Histories that look as the engine would write them, from a seed: what the read models are tested with. */
import { v5 } from 'uuid';
import type { NewEvent } from '../../domain/envelope.ts';
import type { EventStore } from '../../domain/ports.ts';
import { newDiscussion, opening, step, type Data } from './discussionSteps.ts';
import { randomFrom } from '../../scripts/seed/random.ts';

const NAMESPACE = '9b1f2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d';
const STARTED_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** What one command appends. */
export interface Batch {
  readonly stream: string;
  readonly expectedRevision: number;
  readonly events: readonly NewEvent[];
}

/**
 * Batches of events of interleaved discussions and agents.
 * @param options.batches how many, beyond those that open the discussions and register the agents.
 */
export function history(options: { seed: number; discussions: number; batches: number; projects?: number }): Batch[] {
  const random = randomFrom(options.seed);
  const writer = createWriter(options.seed);
  const batches: Batch[] = [];
  const agents = Array.from({ length: 3 }, (_, i) => ({ id: writer.id(`agent ${i}`), version: 1, revision: -1 }));
  for (const agent of agents) {
    const registered: Data = ['AgentRegistered', { projectId: 'default', profile: profile('Ada', 1) }];
    batches.push(writer.batch(`agent-${agent.id}`, 'default', agent, [registered]));
  }
  const all = Array.from({ length: options.discussions }, (_, i) => {
    const discussion = newDiscussion(writer.id, i, `project-${i % (options.projects ?? 2)}`);
    batches.push(writer.batch(`discussion-${discussion.id}`, discussion.project, discussion, opening(discussion)));
    return discussion;
  });
  while (batches.length < options.batches + options.discussions + agents.length) {
    const agent = agents[Math.floor(random() * agents.length)];
    if (random() < 0.02 && agent) {
      agent.version += 1;
      const revised: Data = ['AgentRevised', { version: agent.version, profile: profile('Ada', agent.version) }];
      batches.push(writer.batch(`agent-${agent.id}`, 'default', agent, [revised]));
      continue;
    }
    const discussion = all[Math.floor(random() * all.length)];
    if (discussion === undefined) break;
    const events = step(discussion, writer.id, random);
    if (events.length > 0)
      batches.push(writer.batch(`discussion-${discussion.id}`, discussion.project, discussion, events));
    else if (all.every((each) => each.status === 'concluded')) break;
  }
  return batches;
}

/** Appends batches to a log, one after the other. */
export async function appendAll(store: EventStore, batches: readonly Batch[]): Promise<bigint> {
  let position = 0n;
  for (const { stream, events, expectedRevision } of batches)
    position = (await store.append(stream, events, expectedRevision)).position;
  return position;
}

function createWriter(seed: number) {
  let commands = 0;
  let ids = 0;
  const id = (what: string): string => v5(`${seed} ${what} ${(ids += 1)}`, NAMESPACE);
  return {
    id,
    batch(stream: string, project: string, at: { revision: number }, events: readonly Data[]): Batch {
      const commandId = v5(`${seed} command ${(commands += 1)}`, NAMESPACE);
      const expectedRevision = at.revision;
      at.revision += events.length;
      const metadata = {
        actor: { kind: 'user' as const, id: 'u-1' },
        project,
        occurredAt: new Date(STARTED_MS + commands * 1_003).toISOString(),
        commandId,
        ...(commands % 3 === 0 ? {} : { bodySha256: commandId.replaceAll('-', '').repeat(2) }),
        correlationId: commandId,
      };
      return {
        stream,
        expectedRevision,
        events: events.map(([type, data], i) => ({
          id: v5(`${i}`, commandId),
          type,
          schemaVersion: 1,
          data,
          metadata,
        })),
      };
    },
  };
}

function profile(name: string, version: number) {
  const parameters = { temperature: 0.1 * (version % 10), seed: version };
  return {
    name,
    instructions: `Version ${version} of "${name}" – ✓`,
    model: { provider: 'offline', name: 'offline', parameters },
  };
}
