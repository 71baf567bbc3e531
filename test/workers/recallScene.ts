/** Discussions in memory with an agent that recalls, an index that the test makes up, and a clock that the test moves. */
import { claimTurn } from '../../commands/claimTurn.ts';
import { completeTurn } from '../../commands/completeTurn.ts';
import { existing } from '../../commands/discussionCommand.ts';
import type { Engine } from '../../commands/engine.ts';
import { readLineage } from '../../commands/lineage.ts';
import { openDiscussion, openDiscussionSchema } from '../../commands/openDiscussion.ts';
import { postMessage } from '../../commands/postMessage.ts';
import { readRecalled } from '../../commands/readRecalled.ts';
import { registerAgent, registerAgentSchema } from '../../commands/registerAgent.ts';
import { refresh } from '../../commands/states.ts';
import { discussions } from '../../commands/aggregate.ts';
import { textContent } from '../../domain/content.ts';
import type { DiscussionEvent } from '../../domain/discussion/events.ts';
import { createReplay, renderAttempt } from '../../domain/discussion/replay.ts';
import type { RecordedEvent } from '../../domain/envelope.ts';
import type { Passage, PassageHit } from '../../domain/meaning/vectorIndex.ts';
import type { Clock } from '../../domain/ports.ts';
import { readFrames } from '../../domain/prompt/frame.ts';
import { passageText } from '../../domain/prompt/recalled.ts';
import { passesFilter } from '../../domain/prompt/recallFilter.ts';
import type { PassageSearch, Wanted } from '../../projections/search/passageSearch.ts';
import { createAgentProfiles } from '../../workers/agentProfiles.ts';
import { createCircuits } from '../../workers/circuit.ts';
import { prepareAttempt, type Prepared } from '../../workers/prepare.ts';
import { RECALL_MS, type Patience } from '../../workers/recall.ts';
import { createTranscripts } from '../../workers/transcripts.ts';
import { asked, createWorld, processOn, worker, type World } from '../commands/engineForTests.ts';
import { createScriptedModel } from './scriptedModel.ts';

const INSTRUCTIONS = 'You are Ada.';
const by = { worker: 'w1', incarnation: 'i1' };
const usage = { inputTokens: 100, outputTokens: 20, source: 'reported' as const };

/** Stands still until it is moved. */
export interface StillClock extends Clock {
  advance(ms: number): void;
}

export interface Scene {
  readonly world: World;
  readonly engine: Engine;
  readonly clock: StillClock;
  /** Warnings that were logged. */
  readonly warned: string[];
  /** Outcomes that were counted. */
  readonly outcomes: (string | undefined)[];
  /** What the index was asked: for one turn, a query for each of the last messages. */
  readonly asked: Wanted[];
  /** What the agents recall with; `undefined` for a worker without an index. */
  recall: PassageSearch['semantic'] | null | undefined;
}

/** An empty log, and an index that holds what it is told. */
export async function recallScene(): Promise<Scene> {
  const world = createWorld();
  const clock = createStillClock();
  const engine = { ...(await processOn(world)), clock };
  return { world, engine, clock, warned: [], outcomes: [], asked: [], recall: undefined };
}

function createStillClock(): StillClock {
  const sleeping = new Set<{ readonly dueMs: number; readonly wake: () => void }>();
  let nowMs = Date.parse('2026-01-01T00:00:00.000Z');
  return {
    // Commands are a second apart, as far as they can tell.
    now: () => (nowMs += 1),
    monotonic: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((wake) => {
        const sleeper = { dueMs: nowMs + ms, wake };
        sleeping.add(sleeper);
        signal?.addEventListener('abort', () => wake(), { once: true });
      }),
    advance(ms) {
      nowMs += ms;
      for (const { dueMs, wake } of sleeping) if (dueMs <= nowMs) wake();
    },
  };
}

/** Registers an agent with a memory. @returns its id. */
export async function anAgent(on: Scene, memory: object | null, more: object = {}): Promise<string> {
  const model = { provider: 'offline', name: 'm', parameters: { num_predict: 100, num_ctx: 2000 } };
  const about = memory === null ? {} : { memory };
  const body = registerAgentSchema.parse({ name: 'Ada', instructions: INSTRUCTIONS, model, ...about, ...more });
  return (await registerAgent(on.engine, body, asked())).id;
}

/** Opens a discussion of agents and, where told, a document. @returns its id. */
export async function aTalk(on: Scene, agentIds: readonly string[], more: object = {}): Promise<string> {
  const participants = agentIds.map((agentId) => ({ agentId }));
  const given = { title: 'Tea', topic: 'Tea or coffee?', participants, ...more };
  return (await openDiscussion(on.engine, openDiscussionSchema.parse(given), asked())).id;
}

/** Somebody who watches says something. @returns its revision. */
export async function says(on: Scene, id: string, ...texts: string[]): Promise<number> {
  let revision = -1;
  for (const content of texts) ({ revision } = await postMessage(on.engine, id, { content }, asked()));
  return revision;
}

/** Long enough that a few of them fill the window. */
export const fillers = Array.from({ length: 16 }, (_, i) => `Point ${i}: ${'and so on '.repeat(30)}`);

/** A discussion of one agent, which has lost its first messages from its window. */
export async function longTalk(on: Scene, memory: object, ...first: string[]): Promise<string> {
  const id = await aTalk(on, [await anAgent(on, memory)]);
  await says(on, id, ...first, ...fillers);
  return id;
}

/** What a prompt shows as recalled. */
export function recalledBy({ rendered }: Pick<Prepared, 'rendered'>): string[] {
  const frames = readFrames(rendered.messages.at(-1)?.content ?? '');
  return frames.filter(({ label }) => label === 'recalled').map(({ text }) => text);
}

/** What the worker would send, were the open turn claimed now. */
export async function prepared(on: Scene, id: string, patience: Patience = { leftMs: RECALL_MS }): Promise<Prepared> {
  const { engine } = on;
  const loaded = await refresh(engine, discussions, `discussion-${id}`);
  const state = existing(loaded.state);
  if (state.turn === null) throw new Error('no turn is open');
  const nothing = () => undefined;
  const warn = (_: object, message: string) => void on.warned.push(message);
  const log = { info: nothing, warn, error: nothing };
  const count = (_: string, labels?: Record<string, string>) => void on.outcomes.push(labels?.outcome);
  const telemetry = { count, set: nothing, observe: nothing };
  const settings = { deadlines: { totalMs: 1000 } };
  const circuits = createCircuits({ engine, telemetry, log, settings });
  const sources = { transcripts: createTranscripts(engine.store), profiles: createAgentProfiles(engine), circuits };
  const models = new Map([['offline', createScriptedModel()]]);
  const ctx = { engine, models, telemetry, log, ...(on.recall === undefined ? {} : { recall: on.recall }) };
  const ready = await prepareAttempt(ctx, sources, id, state, state.turn, patience);
  if ('kind' in ready) throw new Error('left alone');
  return ready;
}

/** The agent whose turn it is speaks. */
export async function speaks(on: Scene, id: string, text: string): Promise<Prepared> {
  const ready = await prepared(on, id);
  const { state, revision } = await refresh(on.engine, discussions, `discussion-${id}`);
  const { turnId = '', attempts = 0 } = existing(state).turn ?? {};
  const attempt = { turnId, attempt: attempts + 1, ...by };
  const claim = { ...attempt, leaseMs: 15_000, reserved: ready.reserved, prompt: ready.record };
  await claimTurn(on.engine, id, claim, revision, asked({ actor: worker }));
  const answer = { content: textContent(text), usage, finishReason: 'end_turn' as const };
  const timing = { firstTokenMs: 5, totalMs: 10 };
  await completeTurn(on.engine, id, { ...attempt, ...answer, timing }, asked({ actor: worker }));
  return ready;
}

/** Recorded and rendered hash of every attempt of a discussion, from the log alone. */
export async function rerendered(on: Scene, id: string): Promise<{ recorded: string; sha256: string; text: string }[]> {
  const { store } = on.engine;
  const replay = createReplay();
  const all = [];
  for await (const { event, index } of readLineage(store, id)) {
    const attempt = replay.next(event, index);
    if (attempt === null) continue;
    const recalled = await readRecalled(store, attempt.before.projectId, attempt.record);
    const { sha256, messages } = renderAttempt(attempt, INSTRUCTIONS, recalled);
    all.push({ recorded: attempt.record.sha256, sha256, text: messages.map(({ content }) => content).join('\n') });
  }
  return all;
}

/** One passage of an event, all of its text unless told otherwise. */
export function passageOf(event: RecordedEvent, more: Partial<Passage> = {}): Passage {
  const text = passageText(event as DiscussionEvent & RecordedEvent) ?? '';
  const { id: eventId, stream, revision, metadata } = event;
  const { starts = 0, ends = text.length } = more;
  return {
    ...{ passageId: eventId, project: metadata.project, discussionId: stream.slice('discussion-'.length) },
    ...{ kind: event.type === 'DiscussionOpened' ? 'document' : 'message', agentId: null, eventId, stream, revision },
    ...{ position: event.position.toString(), chunk: 0, starts, ends, at: metadata.occurredAt },
    text: text.slice(starts, ends),
    ...more,
  };
}

/** Every text of the log, whole; `score` of a text is 0.5 unless the test says otherwise. */
export function passagesOf(on: Scene, score: (text: string) => number = () => 0.5): PassageHit[] {
  return on.world.log.events
    .map((event) => passageOf(event))
    .filter(({ text }) => text !== '')
    .map((passage) => ({ passage, score: score(passage.text) }));
}

/** An index that keeps to its filter. @param hits of a query, in any order. */
export function indexed(on: Scene, hits: (query: string) => readonly PassageHit[]): PassageSearch['semantic'] {
  return async (wanted) => {
    on.asked.push(wanted);
    const found = hits(wanted.query).filter(({ passage }) => passesFilter(passage, wanted.filter));
    return { hits: found.sort((a, b) => b.score - a.score).slice(0, wanted.limit), model: 'builtin' };
  };
}
