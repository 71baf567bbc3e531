/** given / when / then for the decider of discussions; every step also checks what must hold of any decision. */
import * as assert from 'uvu/assert';
import { v5 } from 'uuid';
import { textContent } from '../../domain/content.ts';
import type { DiscussionCommand, Newcomer, ReportedUsage } from '../../domain/discussion/commands.ts';
import { decideDiscussion, type Deciding } from '../../domain/discussion/decide.ts';
import {
  defaultLimits,
  discussionEvents,
  type DiscussionEvent,
  type DiscussionEventData,
  type PromptRecord,
} from '../../domain/discussion/events.ts';
import { evolveDiscussion } from '../../domain/discussion/evolve.ts';
import type { Discussion, ExistingDiscussion, OpenTurn } from '../../domain/discussion/state.ts';
import type { StopReason } from '../../domain/model.ts';
import { Refusal, type RefusalCode } from '../../domain/refusal.ts';

const NAMESPACE = '6ba7b810-9dad-41d1-80b4-00c04fd430c8';
export const startMs = Date.parse('2026-01-01T00:00:00.000Z');
export const minute = 60_000;

type Command<K extends DiscussionCommand['kind']> = Extract<DiscussionCommand, { kind: K }>;

/** A discussion at one moment; steps make new scenes, so one can be the start of many tests. */
export interface Scene {
  readonly state: Discussion;
  readonly log: readonly DiscussionEvent[];
  /** What the last command appended. */
  readonly last: readonly DiscussionEvent[];
  readonly nowMs: number;
  when(command: DiscussionCommand): Scene;
  later(ms: number): Scene;
  /** Asserts the types of what was appended last. */
  gives(...types: DiscussionEvent['type'][]): Scene;
  refuses(command: DiscussionCommand, code: RefusalCode, says: RegExp): Scene;
  /** Data of the last event of the type in the last batch. */
  data<T extends DiscussionEvent['type']>(type: T): DiscussionEventData<T>;
  existing(): ExistingDiscussion;
  turn(): OpenTurn;
  /** Id of the participant of that name. */
  id(name: string): string;
}

interface History {
  readonly state: Discussion;
  readonly log: readonly DiscussionEvent[];
  readonly last: readonly DiscussionEvent[];
  readonly nowMs: number;
  readonly commands: number;
}

/** A discussion that does not exist yet. */
export function nothing(): Scene {
  return scene({ state: { status: 'none' }, log: [], last: [], nowMs: startMs, commands: 0 });
}

/** A discussion that was opened. */
export function given(command: Partial<Command<'open'>> = {}): Scene {
  return nothing().when(open(command));
}

function scene(history: History): Scene {
  const { state, log, last, nowMs } = history;
  const existing = () => {
    if (state.status === 'none') throw new Error('there is no discussion');
    return state;
  };
  const self: Scene = {
    state,
    log,
    last,
    nowMs,
    existing,
    when: (command) => scene(step(history, command)),
    later: (ms) => scene({ ...history, nowMs: nowMs + ms }),
    gives(...types) {
      assert.equal(
        last.map((event) => event.type),
        types,
      );
      return self;
    },
    refuses(command, code, says) {
      const refusal = refusalOf(() => decideDiscussion(state, command, deciding(history)));
      assert.is(refusal.code, code, refusal.message);
      assert.match(refusal.message, says);
      return self;
    },
    data: (type) => dataOf(last, type),
    turn() {
      const turn = existing().turn;
      if (turn === null) throw new Error('no turn is open');
      return turn;
    },
    id(name) {
      const found = existing().participants.find((each) => each.name === name);
      if (found === undefined) throw new Error(`there is no ${name}`);
      return found.participantId;
    },
  };
  return self;
}

/** The data of the last event of a type. */
export function dataOf<T extends DiscussionEvent['type']>(
  events: readonly DiscussionEvent[],
  type: T,
): DiscussionEventData<T> {
  const found = events.findLast((event): event is Extract<DiscussionEvent, { type: T }> => event.type === type);
  if (found === undefined) throw new Error(`no ${type} was appended, but ${events.map((e) => e.type).join(', ')}`);
  return found.data as DiscussionEventData<T>;
}

/** The refusal that deciding throws; fails when it throws nothing, passes on any other error. */
export function refusalOf(decide: () => unknown): Refusal {
  try {
    decide();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error('was not refused');
}

function deciding(history: History): Deciding {
  return decidingOf(history.log.length - 1, history.nowMs, `command ${history.commands}`);
}

/** Ids depend on the command's name and the label alone, as uuidv5(commandId, label) does. */
export function decidingOf(revision: number, nowMs: number, commandName: string): Deciding {
  return { nowMs, revision, newId: (label) => v5(`${commandName}/${label}`, NAMESPACE) };
}

function step(history: History, command: DiscussionCommand): History {
  const ctx = deciding(history);
  const events = decideDiscussion(history.state, command, ctx);
  assert.equal(decideDiscussion(history.state, command, ctx), events, 'the same state decides the same');
  checkSchemas(events);
  const log = [...history.log, ...events];
  const state = foldFrom(history.state, events, history.log.length, history.nowMs);
  return { state, log, last: events, nowMs: history.nowMs, commands: history.commands + 1 };
}

/** Every event fits its schema, which changes nothing of it. */
export function checkSchemas(events: readonly DiscussionEvent[]): void {
  for (const event of events)
    assert.equal(discussionEvents[event.type].schema.parse(event.data), event.data, `${event.type} as its schema`);
}

/** The state after the events, the first of which stands at `revision`. */
export function foldFrom(
  state: Discussion,
  events: readonly DiscussionEvent[],
  revision: number,
  atMs: number,
): Discussion {
  return events.reduce((now, event, i) => evolveDiscussion(now, event, { revision: revision + i, atMs }), state);
}

/** A newcomer whose turns a model answers. */
export function agent(name: string): Newcomer {
  return { kind: 'agent', name, agentId: v5(name, NAMESPACE), agentVersion: 1 };
}

/** A newcomer of user id `user-<name>`. */
export function person(name: string, more: Partial<Newcomer> = {}): Newcomer {
  return { kind: 'person', name, userId: `user-${name.toLowerCase()}`, ...more };
}

/** A newcomer that runs elsewhere. */
export function external(name: string, more: Partial<Newcomer> = {}): Newcomer {
  return { kind: 'external', name, agentId: v5(name, NAMESPACE), agentVersion: 1, ...more };
}

/** Opens a discussion of two agents, by turns, unless told otherwise. */
export function open(more: Partial<Command<'open'>> = {}): Command<'open'> {
  return {
    kind: 'open',
    projectId: 'default',
    nonce: '0123456789abcdef',
    title: 'Tea',
    topic: 'Is tea better than coffee?',
    policy: { kind: 'round-robin' },
    limits: defaultLimits,
    priority: 5,
    participants: [agent('Ada'), agent('Bob')],
    autostart: true,
    ...more,
  };
}

export const promptRecord: PromptRecord = {
  renderer: 'r1',
  sha256: '0'.repeat(64),
  window: null,
  context: [],
  messageChars: 20_000,
  agentVersion: 1,
  model: { provider: 'offline', name: 'offline', digest: null },
  parameters: {},
  controlTokens: [],
  retrieved: [],
};

const w1 = { worker: 'w1', incarnation: 'i1' };

/** A claim of the open turn. */
export function claim(at: Scene, more: Partial<Command<'claimTurn'>> = {}): Command<'claimTurn'> {
  const { turnId, attempts } = at.turn();
  const attempt = { turnId, attempt: attempts + 1, ...w1 };
  return { kind: 'claimTurn', ...attempt, leaseMs: 15_000, reserved: 500, prompt: promptRecord, ...more };
}

/** Tokens as a provider reports them. */
export function usage(inputTokens: number, outputTokens: number): ReportedUsage {
  return { inputTokens, outputTokens, source: 'reported' };
}

/** The current attempt's answer. */
export function complete(at: Scene, text = 'Yes.', more: Partial<Command<'completeTurn'>> = {}): DiscussionCommand {
  const { turnId, attempts: attempt } = at.turn();
  const timing = { firstTokenMs: 5, totalMs: 10 };
  const answer = { content: textContent(text), usage: usage(100, 20), finishReason: 'end_turn' as StopReason, timing };
  return { kind: 'completeTurn', turnId, attempt, ...w1, ...answer, ...more };
}

/** The current attempt given up. */
export function abandon(at: Scene, more: Partial<Command<'abandonTurn'>> = {}): Command<'abandonTurn'> {
  const { turnId, attempts: attempt } = at.turn();
  const why = { reason: 'error' as StopReason, detail: 'the model broke off', usage: usage(100, 3) };
  const again = { retryable: true, retryAfterMs: 1000, halveWindow: false };
  return { kind: 'abandonTurn', turnId, attempt, ...w1, ...why, ...again, ...more };
}

/** A message by the user `user-<name>`. */
export function post(user: string, text: string, more: Partial<Command<'post'>> = {}): Command<'post'> {
  const author = { userId: `user-${user.toLowerCase()}`, name: user };
  return { kind: 'post', author, onBehalf: false, content: textContent(text), ...more };
}

/** One whole turn of a model. */
export function spoken(at: Scene, text?: string): Scene {
  const claimed = at.when(claim(at));
  return claimed.when(complete(claimed, text));
}
