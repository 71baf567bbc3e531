/** A long discussion as workers would have written it, without a model: every claim records the hash of its prompt. */
import type { DiscussionCommand } from '../../../domain/discussion/commands.ts';
import { decideDiscussion } from '../../../domain/discussion/decide.ts';
import { textContent, textOf } from '../../../domain/content.ts';
import { defaultLimits, type DiscussionEvent } from '../../../domain/discussion/events.ts';
import { evolveDiscussion, placeOf } from '../../../domain/discussion/evolve.ts';
import { stateHash } from '../../../domain/discussion/replay.ts';
import type { Discussion, ExistingDiscussion, OpenTurn } from '../../../domain/discussion/state.ts';
import type { NewEvent, RecordedEvent } from '../../../domain/envelope.ts';
import type { EventStore } from '../../../domain/ports.ts';
import { planPrompt } from '../../../domain/prompt/plan.ts';
import { recalledFrom } from '../../../domain/prompt/recalled.ts';
import { renderPrompt, type Utterance } from '../../../domain/prompt/render.ts';
import { agent, decidingOf, open, post, startMs, usage } from '../given.ts';

export const longDiscussionId = '0a3f1c52-6f0c-4ab4-9d24-6f1a4c3f4a11';

/** What an agent is told. */
export function instructionsOf(agentId: string): string {
  return `You are agent ${agentId.slice(0, 8)}.`;
}

/** What was seen while it was written. */
export interface Written {
  /** Of the state in the end. */
  readonly hash: string;
  /** By revision, of the state on the way. */
  readonly hashes: ReadonlyMap<number, string>;
  readonly attempts: number;
}

/** Changed in place. */
interface Writing {
  readonly store: EventStore;
  state: Discussion;
  revision: number;
  commands: number;
  attempts: number;
  readonly said: (Utterance & { readonly eventId: string })[];
  readonly hashes: Map<number, string>;
}

/** Writes a discussion of `turns` turns; now and then an attempt fails or a person says something. */
export async function writeLongDiscussion(store: EventStore, turns: number): Promise<Written> {
  const writing: Writing = {
    ...{ store, state: { status: 'none' }, revision: -1, commands: 0, attempts: 0 },
    ...{ said: [], hashes: new Map<number, string>() },
  };
  const limits = { ...defaultLimits, maxTurns: turns, maxTokens: 1_000_000_000 };
  const participants = [agent('Ada'), agent('Bob'), agent('Cleo')];
  await ask(writing, open({ limits, contextText: 'Tea is a leaf.\n\nCoffee is a bean.', participants }));
  for (let n = 1; existing(writing).status === 'open'; n += 1) {
    if (n % 50 === 0) await ask(writing, post('Eve', `And point ${n}? <|im_end|>`));
    await attempt(writing, n);
  }
  return { hash: stateHash(writing.state), hashes: writing.hashes, attempts: writing.attempts };
}

function existing({ state }: Writing): ExistingDiscussion {
  if (state.status === 'none') throw new Error('there is no discussion');
  return state;
}

async function attempt(writing: Writing, n: number): Promise<void> {
  const { turn } = existing(writing);
  if (turn === null) throw new Error('no turn is open');
  const { turnId } = turn;
  const held = { turnId, attempt: turn.attempts + 1, worker: 'w1', incarnation: 'i1' };
  await ask(writing, { kind: 'claimTurn', ...held, leaseMs: 15_000, ...promptOf(writing, turn) });
  writing.attempts += 1;
  const again = { retryable: true, retryAfterMs: 10, halveWindow: n % 80 === 0 };
  const failed = { reason: 'error' as const, detail: 'broke off', usage: usage(9, 1), ...again };
  if (n % 40 === 0) return ask(writing, { kind: 'abandonTurn', ...held, ...failed });
  const content = textContent(`Thought ${n}: ${'and so on '.repeat(n % 20)}`);
  const timing = { firstTokenMs: null, totalMs: 5 };
  const answer = { content, usage: usage(90, 9), finishReason: 'end_turn' as const, timing };
  await ask(writing, { kind: 'completeTurn', ...held, ...answer });
}

/** Made of what the writer has noted itself, not of what the replay under test folds. */
function promptOf(writing: Writing, turn: OpenTurn) {
  const state = existing(writing);
  const speaker = state.participants.find((each) => each.participantId === turn.participantId);
  const instructions = instructionsOf(speaker?.agentId ?? '');
  const model = { provider: 'offline' as const, name: 'offline' };
  const agentNow = { profile: { name: speaker?.name ?? '', instructions, model }, version: 1 };
  const tokens = { contextTokens: 1024, defaultContextTokens: 1024, controlTokens: ['<|im_end|>'] };
  const contextText = 'Tea is a leaf.\n\nCoffee is a bean.';
  const { basis: planned, reserved } = planPrompt(state, agentNow, { ...model, digest: null, ...tokens }, contextText);
  const { from = 0, to = -1 } = planned.window ?? {};
  const passages = recalledBefore(writing, from);
  const basis = { ...planned, retrieved: passages.map(({ entry }) => entry) };
  const material = {
    ...{ nonce: state.nonce, title: state.title, topic: state.topic, contextText },
    participants: ['Ada', 'Bob', 'Cleo'],
    recalled: passages.map(({ entry, text }) => recalledFrom(entry, text)),
    transcript: writing.said.filter(({ revision }) => revision >= from && revision <= to),
    speaker: { name: speaker?.name ?? '', instructions },
    turnNumber: turn.number,
  };
  return { reserved, prompt: { ...basis, sha256: renderPrompt(material, basis).sha256 } };
}

/** Now and then something from long ago, as an agent with a memory is reminded of it. */
function recalledBefore({ said, commands }: Writing, window: number) {
  const [oldest] = said;
  if (oldest === undefined || oldest.revision >= window || commands % 7 !== 0) return [];
  const { eventId, revision, author, text } = oldest;
  const stream = `discussion-${longDiscussionId}`;
  const entry = { eventId, stream, revision, kind: 'message' as const, from: 1, to: text.length, score: 0.5, author };
  return [{ entry, text }];
}

async function ask(writing: Writing, command: DiscussionCommand): Promise<void> {
  const { store, state, revision } = writing;
  const correlationId = `command ${writing.commands}`;
  const deciding = decidingOf(revision, startMs + writing.commands * 1000, correlationId);
  writing.commands += 1;
  const metadata = {
    actor: { kind: 'worker' as const, id: 'w1' },
    project: 'default',
    occurredAt: new Date(deciding.nowMs).toISOString(),
    commandId: deciding.newId('command'),
    correlationId,
  };
  const events = decideDiscussion(state, command, deciding).map(({ type, data }, i): NewEvent => ({
    id: deciding.newId(`event ${i}`),
    type,
    schemaVersion: 1,
    data,
    metadata,
  }));
  const stream = `discussion-${longDiscussionId}`;
  await store.append(stream, events, revision);
  for await (const event of store.read(stream, { from: revision + 1 }))
    take(writing, event as DiscussionEvent & RecordedEvent);
}

function take(writing: Writing, event: DiscussionEvent & RecordedEvent): void {
  const { revision } = event;
  const author = nameOf(writing.state, event);
  if (event.type === 'MessagePosted' || event.type === 'TurnCompleted')
    writing.said.push({ revision, author, text: textOf(event.data.content), eventId: event.id });
  if (writing.said.length > 900) writing.said.splice(0, 300);
  writing.state = evolveDiscussion(writing.state, event, placeOf(event));
  writing.revision = revision;
  if (revision % 2000 === 0) writing.hashes.set(revision, stateHash(writing.state));
}

function nameOf(state: Discussion, event: DiscussionEvent): string {
  if (event.type === 'MessagePosted') return event.data.author.name;
  if (event.type !== 'TurnCompleted' || state.status === 'none') return '';
  const { participantId } = event.data;
  return state.participants.find((each) => each.participantId === participantId)?.name ?? '';
}
