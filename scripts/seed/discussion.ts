/** A discussion as it would stand in the log, decided by the domain and with prompts that can be rendered again; no model is asked. */
import { v5 as uuidv5 } from 'uuid';
import type { AgentProfile } from '../../domain/agent/events.ts';
import { textContent, textOf } from '../../domain/content.ts';
import type { DiscussionCommand } from '../../domain/discussion/commands.ts';
import { decideDiscussion } from '../../domain/discussion/decide.ts';
import { defaultLimits, type DiscussionEvent } from '../../domain/discussion/events.ts';
import { evolveDiscussion } from '../../domain/discussion/evolve.ts';
import type { Discussion, ExistingDiscussion, OpenTurn } from '../../domain/discussion/state.ts';
import type { EventActor, NewEvent } from '../../domain/envelope.ts';
import { eventDefinition } from '../../domain/events.ts';
import type { ModelDescription } from '../../domain/model.ts';
import { planPrompt } from '../../domain/prompt/plan.ts';
import { renderPrompt, type Utterance } from '../../domain/prompt/render.ts';
import { prose } from '../bench/zeroLatencyModel.ts';

export interface SeedAgent {
  readonly id: string;
  readonly profile: AgentProfile;
}

export interface SeedPlan {
  /** uuidv5 namespace of all ids of this discussion: the same plan makes the same events. */
  readonly namespace: string;
  readonly number: number;
  readonly agents: readonly SeedAgent[];
  readonly turns: number;
  readonly beginsAtMs: number;
  /** A number in [0, 1). */
  readonly random: () => number;
}

const WORKER = { worker: 'worker-seed', incarnation: 'seed' };
const model: ModelDescription = {
  provider: 'offline',
  name: 'offline',
  digest: null,
  contextTokens: 4096,
  defaultContextTokens: 4096,
  controlTokens: ['<|im_start|>', '<|im_end|>'],
};
const PERSON: EventActor = { kind: 'user', id: 'grace' };

interface Talk {
  readonly plan: SeedPlan;
  state: Discussion;
  nowMs: number;
  commands: number;
  readonly said: Utterance[];
  readonly events: NewEvent[];
}

/** All events of the discussion, in order, from its opening to its end. */
export function seedDiscussion(plan: SeedPlan): NewEvent[] {
  const talk: Talk = { plan, state: { status: 'none' }, nowMs: plan.beginsAtMs, commands: 0, said: [], events: [] };
  ask(talk, opening(plan), PERSON);
  while (talk.state.status === 'open' && talk.state.turn !== null) step(talk, talk.state, talk.state.turn);
  return talk.events;
}

function opening({ number, agents, turns }: SeedPlan): DiscussionCommand {
  return {
    kind: 'open',
    projectId: 'default',
    nonce: number.toString(16).padStart(16, '5'),
    title: `Discussion ${number}`,
    topic: prose(number, 160),
    policy: number % 3 === 0 ? { kind: 'least-recently-spoke' } : { kind: 'round-robin' },
    limits: { ...defaultLimits, maxTurns: turns, maxTokens: 1_000_000_000 },
    priority: 5,
    participants: agents.map(({ id, profile }) => ({
      kind: 'agent',
      name: profile.name,
      agentId: id,
      agentVersion: 1,
    })),
    autostart: true,
  };
}

/** One turn, with what happens now and then: a lost attempt, a cancelled turn, a word from a person. */
function step(talk: Talk, state: ExistingDiscussion, turn: OpenTurn): void {
  const { random } = talk.plan;
  talk.nowMs += 50 + random() * 150;
  claim(talk, state, turn);
  talk.nowMs += 800 + random() * 4_000;
  const chance = random();
  const attempt = { turnId: turn.turnId, attempt: turn.attempts + 1, ...WORKER };
  if (chance < 0.02) {
    const usage = { inputTokens: 200, outputTokens: 10, source: 'estimated' as const };
    const failure = { reason: 'time_out' as const, detail: 'the model fell silent', usage, retryable: true };
    return ask(talk, { kind: 'abandonTurn', ...attempt, ...failure, retryAfterMs: 1_000, halveWindow: false });
  }
  const text = prose(Math.floor(random() * 1_000_000), 120 + Math.floor(random() * 500));
  const usage = { inputTokens: 400, outputTokens: text.length >> 2, source: 'reported' as const };
  const timing = { firstTokenMs: 120, totalMs: 900 };
  ask(talk, { kind: 'completeTurn', ...attempt, content: textContent(text), usage, finishReason: 'end_turn', timing });
  if (talk.state.status !== 'open') return;
  if (chance > 0.99 && talk.state.turn !== null)
    ask(talk, { kind: 'cancelTurn', turnId: talk.state.turn.turnId }, PERSON);
  if (chance > 0.95)
    ask(
      talk,
      {
        kind: 'post',
        author: { userId: 'grace', name: 'Grace' },
        onBehalf: true,
        content: textContent(prose(talk.commands, 90)),
      },
      PERSON,
    );
}

function claim(talk: Talk, state: ExistingDiscussion, turn: OpenTurn): void {
  const speaker = state.participants.find((each) => each.participantId === turn.participantId);
  const agent = talk.plan.agents.find(({ id }) => id === speaker?.agentId);
  if (speaker === undefined || agent === undefined) throw new RangeError('only agents are given turns here');
  const { basis, reserved } = planPrompt(state, { profile: agent.profile, version: 1 }, model, null);
  const { from, to } = basis.window ?? { from: 0, to: -1 };
  const { sha256 } = renderPrompt(
    {
      nonce: state.nonce,
      title: state.title,
      topic: state.topic,
      contextText: null,
      participants: state.participants.filter(({ left }) => !left).map(({ name }) => name),
      transcript: shown(talk.said, from, to),
      recalled: [],
      speaker: { name: speaker.name, instructions: agent.profile.instructions },
      turnNumber: turn.number,
    },
    basis,
  );
  const attempt = { turnId: turn.turnId, attempt: turn.attempts + 1, ...WORKER };
  ask(talk, { kind: 'claimTurn', ...attempt, leaseMs: 15_000, reserved, prompt: { ...basis, sha256 } });
}

/** From the end: a window never reaches far back. */
function shown(said: readonly Utterance[], from: number, to: number): Utterance[] {
  let first = said.length;
  while (first > 0 && (said[first - 1]?.revision ?? 0) >= from) first -= 1;
  return said.slice(first).filter(({ revision }) => revision <= to);
}

function ask(talk: Talk, command: DiscussionCommand, actor: EventActor = { kind: 'worker', id: WORKER.worker }): void {
  const { namespace } = talk.plan;
  talk.commands += 1;
  talk.nowMs = Math.floor(talk.nowMs) + 1;
  const commandId = uuidv5(`command:${talk.commands}`, namespace);
  const revision = talk.events.length - 1;
  const newId = (label: string) => uuidv5(label, commandId);
  const decided = decideDiscussion(talk.state, command, { nowMs: talk.nowMs, revision, newId });
  const causationId = actor.kind === 'worker' ? talk.events.at(-1)?.id : undefined;
  const metadata = {
    actor,
    project: 'default',
    occurredAt: new Date(talk.nowMs).toISOString(),
    commandId,
    correlationId: namespace,
    ...(causationId === undefined ? { requestId: uuidv5('request', commandId) } : { causationId }),
  };
  for (const [i, event] of decided.entries()) {
    const { type, data } = event;
    talk.events.push({
      id: uuidv5(String(i), commandId),
      type,
      schemaVersion: eventDefinition(type)?.version ?? 0,
      data,
      metadata,
    });
    note(talk, event);
  }
}

function note(talk: Talk, event: DiscussionEvent): void {
  const revision = talk.events.length - 1;
  talk.state = evolveDiscussion(talk.state, event, { revision, atMs: talk.nowMs });
  if (event.type === 'MessagePosted')
    talk.said.push({ revision, author: event.data.author.name, text: textOf(event.data.content) });
  if (event.type !== 'TurnCompleted' || talk.state.status === 'none') return;
  const { participantId, content } = event.data;
  const author = talk.state.participants.find((each) => each.participantId === participantId)?.name ?? 'somebody';
  talk.said.push({ revision, author, text: textOf(content) });
}
