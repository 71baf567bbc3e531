/** `colloquy demo`: a discussion on the terminal, about a document if one is given, and a check that replaying its log gives the same state. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { discussions } from '../commands/aggregate.ts';
import { openDiscussion, openDiscussionSchema } from '../commands/openDiscussion.ts';
import { refresh } from '../commands/states.ts';
import { createPrometheus } from '../infra/prometheus.ts';
import { createLogger } from '../infra/logging.ts';
import { readSettings } from '../infra/config.ts';
import { readDocument } from './demoDocument.ts';
import { askedByDemo, registerDemoAgents } from './demoDiscussion.ts';
import { createScreen } from './demoScreen.ts';
import { summarise } from './demoSummary.ts';
import { startEngine, type RunningEngine } from './engine.ts';

export interface DemoOptions {
  readonly topic: string;
  readonly document?: string;
  readonly agents: number;
  readonly turns: number;
  /** A model of the Ollama server, or `offline`; without it Ollama's first model, else the built-in one. */
  readonly model?: string;
  readonly data?: string;
}

/** Runs until the discussion has ended. @throws Refusal for a document that is not text, or a model that is not there. */
export async function demo(options: DemoOptions): Promise<void> {
  const document = options.document === undefined ? null : await readDocument(options.document);
  if (document?.note != null) console.error(document.note);
  const temporary = options.data === undefined ? await mkdtemp(join(tmpdir(), 'colloquy-demo-')) : null;
  const settings = readSettings({ COLLOQUY_DATA: options.data ?? temporary ?? '' });
  const running = await startEngine(
    settings,
    createLogger(settings.LOG_LEVEL === 'warn' ? 'error' : settings.LOG_LEVEL),
    createPrometheus(),
  );
  try {
    const id = await open(running, options, document);
    await follow(running, id, options.turns);
    const same = await summarise(running, id);
    if (options.data !== undefined) console.log(`kept in ${settings.COLLOQUY_DATA}`);
    process.exitCode = same ? 0 : 1;
  } finally {
    await running.workers.stop();
    await running.stop();
    if (temporary !== null) await rm(temporary, { recursive: true, force: true });
  }
}

async function open(running: RunningEngine, options: DemoOptions, document: { text: string } | null): Promise<string> {
  const { engine, models } = running;
  const available = await models.ollamaNames();
  const name = options.model ?? available.find((each) => !/embed|minilm|bge/i.test(each)) ?? 'offline';
  const provider = name === 'offline' ? ('offline' as const) : ('ollama' as const);
  console.log(
    provider === 'offline'
      ? 'Model: the built-in offline model. It composes from topic and document; it does not understand.'
      : `Model: ${name} on Ollama at the OLLAMA_URL.`,
  );
  // A small model on a CPU reads some tens of tokens a second: what it is shown decides how long one waits.
  const parameters = provider === 'ollama' ? { num_ctx: 2048, num_predict: 120, temperature: 0.7, seed: 7 } : undefined;
  const agents = await registerDemoAgents(engine, options.agents, {
    provider,
    name,
    ...(parameters === undefined ? {} : { parameters }),
  });
  const body = openDiscussionSchema.parse({
    title: options.document === undefined ? 'Demo' : basename(options.document).slice(0, 200),
    topic: options.topic,
    participants: agents.map((agentId) => ({ agentId })),
    limits: { maxTurns: options.turns, maxTokens: 10_000_000 },
    ...(document === null ? {} : { context: { text: document.text } }),
  });
  console.log(
    `Topic: ${options.topic}${document === null ? '' : `\nDocument: ${body.title}, ${document.text.length.toLocaleString('en')} characters`}\n`,
  );
  return (await openDiscussion(engine, body, askedByDemo(engine))).id;
}

/** Shows the discussion as it happens, until it has ended or waits for a person. */
async function follow(running: RunningEngine, id: string, turns: number): Promise<void> {
  const { engine, bus } = running;
  const over = new AbortController();
  const stream = `discussion-${id}`;
  const { state } = await refresh(engine, discussions, stream);
  const screen = createScreen(state.status === 'none' ? [] : state.participants, turns);
  const showDeltas = async () => {
    for await (const delta of bus.deltas({ project: 'default', discussionId: id }, { signal: over.signal }))
      screen.delta(delta);
  };
  const shown = showDeltas();
  for await (const { events } of engine.store.subscribe(0n, { signal: over.signal }))
    for (const event of events) {
      if (event.stream !== stream) continue;
      screen.event(event);
      if (event.type === 'DiscussionConcluded' || event.type === 'DiscussionPaused') over.abort();
    }
  await shown;
}
