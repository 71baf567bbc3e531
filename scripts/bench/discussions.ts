/** Discussions of agents whose model answers at once, and when each of their turns ended. */
import { openDiscussion, openDiscussionSchema } from '../../commands/openDiscussion.ts';
import { registerAgent, registerAgentSchema } from '../../commands/registerAgent.ts';
import type { Asked } from '../../commands/dispatch.ts';
import type { Engine } from '../../commands/engine.ts';
import { createPrometheus } from '../../infra/prometheus.ts';
import { startEngine, type RunningEngine } from '../engine.ts';
import type { Place } from './place.ts';
import { countStatements, type StatementCount } from './statements.ts';
import { zeroLatencyModels } from './zeroLatencyModel.ts';

export interface Bench {
  readonly running: RunningEngine;
  readonly statements: StatementCount;
  /** Opens discussions of 3 agents at once and waits for their ends. @returns per discussion, when each turn ended. */
  hold(discussions: number, turns: number): Promise<Held>;
  stop(): Promise<void>;
}

export interface Held {
  /** Milliseconds of `performance.now()`, per discussion. */
  readonly endedAtMs: readonly (readonly number[])[];
  readonly streams: readonly string[];
}

/** The engine as the service runs it, with models that answer at once with `answerChars` characters. */
export async function startBench(place: Place, answerChars: number): Promise<Bench> {
  const { settings, log } = place;
  const models = zeroLatencyModels(settings, answerChars);
  const running = await startEngine(settings, log, createPrometheus(), { models });
  const statements = countStatements(running.storage.database.pool);
  const { engine } = running;
  const agents: string[] = [];
  for (const name of ['Ada', 'Basil', 'Clara']) {
    const instructions = 'Say what you think, and why. Ask for evidence where it is missing.';
    const body = registerAgentSchema.parse({ name, instructions, model: { provider: 'offline', name: 'offline' } });
    agents.push((await registerAgent(engine, body, askedBy(engine))).id);
  }
  return {
    running,
    statements,
    hold: (discussions, turns) => hold(engine, agents, discussions, turns),
    async stop() {
      await running.workers.stop();
      await running.stop();
    },
  };
}

/** A command of the benchmark. */
export function askedBy(engine: Engine): Asked {
  const commandId = engine.ids.next();
  const actor = { kind: 'system' as const, id: 'bench', grants: [{ project: '*', role: 'administrator' }] };
  return { actor, commandId, keyed: false, correlationId: commandId };
}

async function hold(engine: Engine, agents: readonly string[], discussions: number, turns: number): Promise<Held> {
  const over = new AbortController();
  const ends = new Map<string, number[]>();
  const after = await engine.store.head();
  const follow = async () => {
    let open = discussions;
    for await (const { events } of engine.store.subscribe(after, { signal: over.signal }))
      for (const { type, stream } of events) {
        if (type === 'DiscussionOpened') ends.set(stream, []);
        if (type === 'TurnCompleted') ends.get(stream)?.push(performance.now());
        if (type === 'DiscussionPaused') throw new Error('a discussion was paused');
        if (type === 'DiscussionConcluded' && (open -= 1) === 0) return;
      }
  };
  const followed = follow();
  try {
    const body = openDiscussionSchema.parse({
      title: 'Benchmark',
      topic: 'What does a small team gain from keeping every change as an event, and what does it cost?',
      participants: agents.map((agentId) => ({ agentId })),
      limits: { maxTurns: turns, maxTokens: 10_000_000_000 },
    });
    await Promise.all(Array.from({ length: discussions }, () => openDiscussion(engine, body, askedBy(engine))));
    await followed;
  } finally {
    over.abort();
  }
  return { endedAtMs: [...ends.values()], streams: [...ends.keys()] };
}

/** Times between a turn's end and the next one's, in order. */
export function gapsOf(endedAtMs: readonly number[]): number[] {
  return endedAtMs.slice(1).map((at, i) => at - (endedAtMs[i] ?? at));
}
