/**
 * `npm run seed -- --events 1000000`: fills a log with discussions that look as if they had been held, to try out what
 * has to work on a large one. Read models are not written: they follow when a service starts.
 */
import { Command } from 'commander';
import { Presets, SingleBar } from 'cli-progress';
import { v5 as uuidv5 } from 'uuid';
import { decideAgent } from '../domain/agent/agent.ts';
import type { NewEvent } from '../domain/envelope.ts';
import { eventDefinition } from '../domain/events.ts';
import { NO_STREAM, type EventStore } from '../domain/ports.ts';
import { readSettings } from '../infra/config.ts';
import { createLogger } from '../infra/logging.ts';
import { reportFailure } from './cli/exitCodes.ts';
import { whole } from './cli/whole.ts';
import { seedDiscussion, type SeedAgent } from './seed/discussion.ts';
import { randomFrom } from './seed/random.ts';
import { openStorage } from './storage.ts';

interface SeedOptions {
  readonly events: number;
  readonly turns: number;
  readonly long: number;
  readonly data?: string;
}

/** Discussions that are written at the same time, so that their events stand mixed. */
const AT_ONCE = 16;
const EVENTS_PER_APPEND = 100;
const NAMESPACE = '8f2ff2a8-5b5c-5ad1-9a0e-0d9f7c9a1f00';
const NAMES = ['Ada', 'Basil', 'Clara', 'Dmitri', 'Edith'];
const SPREAD_MS = 30 * 86_400_000;

const program = new Command('seed')
  .description('fill the log of COLLOQUY_DATA, DATABASE_URL or EVENTSTORE_URL with discussions')
  .option('--events <n>', 'how many events, about', whole(1, 999_999_999), 100_000)
  .option('--turns <n>', 'turns of each discussion', whole(1, 1_000_000), 30)
  .option('--long <n>', 'turns of one long discussion among them, 0 for none', whole(0, 1_000_000), 0)
  .option('--data <folder>', 'data folder')
  .action(seed);
await program.parseAsync().catch((error: unknown) => {
  process.exitCode = reportFailure(error);
});

async function seed({ events, turns, long, data }: SeedOptions): Promise<void> {
  const settings = readSettings(data === undefined ? {} : { COLLOQUY_DATA: data });
  const storage = await openStorage(settings, createLogger(settings.LOG_LEVEL));
  const startedMs = performance.now();
  try {
    const { store } = storage;
    // What is there already decides the ids, so that a second run adds to the first.
    const namespace = uuidv5(`${await store.lineage()}:${await store.head()}`, NAMESPACE);
    const agents = await registerAgents(store, namespace);
    const bar = new SingleBar(
      { format: '{bar} {value} of {total} events | {rate}/s', stream: process.stderr },
      Presets.shades_classic,
    );
    bar.start(events, 0, { rate: 0 });
    let written = agents.length;
    let begun = 0;
    const fill = async () => {
      while (written < events) {
        const number = (begun += 1);
        const plan = { namespace: uuidv5(`discussion:${number}`, namespace), number, agents: chosen(agents, number) };
        const beginsAtMs = Date.now() - SPREAD_MS + Math.floor((written / events) * SPREAD_MS);
        const all = seedDiscussion({
          ...plan,
          turns: number === 1 && long > 0 ? long : turns,
          beginsAtMs,
          random: randomFrom(number),
        });
        for (let i = 0; i < all.length; i += EVENTS_PER_APPEND) {
          const batch = all.slice(i, i + EVENTS_PER_APPEND);
          await store.append(`discussion-${uuidv5('discussion', plan.namespace)}`, batch, i - 1);
          written += batch.length;
          bar.update(Math.min(written, events), {
            rate: Math.round(written / ((performance.now() - startedMs) / 1000)),
          });
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, fill));
    bar.stop();
    const seconds = (performance.now() - startedMs) / 1000;
    process.stdout.write(
      `${JSON.stringify({ events: written, discussions: begun, seconds: Math.round(seconds), eventsPerSecond: Math.round(written / seconds), head: String(await store.head()) })}\n`,
    );
  } finally {
    await storage.close();
  }
}

async function registerAgents(store: EventStore, namespace: string): Promise<SeedAgent[]> {
  const agents: SeedAgent[] = [];
  for (const name of NAMES) {
    const commandId = uuidv5(`agent:${name}`, namespace);
    const id = uuidv5('agent', commandId);
    const profile = {
      name,
      instructions: `You are ${name}. Be brief.`,
      model: { provider: 'offline' as const, name: 'offline', parameters: { num_ctx: 1024, num_predict: 100 } },
    };
    const metadata = {
      actor: { kind: 'user' as const, id: 'grace' },
      project: 'default',
      occurredAt: new Date(Date.now() - SPREAD_MS).toISOString(),
      commandId,
      correlationId: commandId,
    };
    const decided = decideAgent({ status: 'none' }, { kind: 'register', projectId: 'default', profile });
    const events = decided.map(({ type, data }, i): NewEvent => ({
      id: uuidv5(String(i), commandId),
      type,
      schemaVersion: eventDefinition(type)?.version ?? 0,
      data,
      metadata,
    }));
    await store.append(`agent-${id}`, events, NO_STREAM);
    agents.push({ id, profile });
  }
  return agents;
}

function chosen(agents: readonly SeedAgent[], number: number): SeedAgent[] {
  const from = number % agents.length;
  return [...agents.slice(from), ...agents.slice(0, from)].slice(0, 2 + (number % 3));
}
