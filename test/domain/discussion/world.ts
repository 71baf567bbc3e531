/**
 * A discussion with workers, people and mistakes: steps made of small numbers become commands, many of them late,
 * repeated or somebody else's, and go through the decider as `dispatch` would take them.
 */
import fc from 'fast-check';
import { textContent } from '../../../domain/content.ts';
import type { Attempt, DiscussionCommand } from '../../../domain/discussion/commands.ts';
import { decideDiscussion } from '../../../domain/discussion/decide.ts';
import { defaultLimits, type DiscussionEvent, type Policy } from '../../../domain/discussion/events.ts';
import type { Discussion } from '../../../domain/discussion/state.ts';
import { Refusal } from '../../../domain/refusal.ts';
import { agent, checkSchemas, decidingOf, external, foldFrom, minute, open, person } from '../given.ts';
import { post, promptRecord, startMs, usage } from '../given.ts';
import { forkOf, offsetIn } from './forking.ts';

/** An event and when it was appended, milliseconds since the epoch. */
export interface LoggedEvent {
  readonly event: DiscussionEvent;
  /** In its own stream. */
  readonly revision: number;
  readonly atMs: number;
}

/** Changed in place by `ask`. */
export interface World {
  state: Discussion;
  /** Over the lineage: after a fork, what it shares comes first. */
  log: LoggedEvent[];
  nowMs: number;
  commands: number;
  refused: number;
  /** Attempts that were begun, whatever became of them. */
  attempts: Attempt[];
  turnIds: string[];
  lastCommand: DiscussionCommand | null;
}

/** How often each is tried. */
const actions = {
  claim: 40,
  complete: 24,
  abandon: 24,
  repeat: 12,
  answer: 16,
  post: 6,
  cancel: 5,
  skip: 12,
  wait: 6,
  fork: 3,
  request: 24,
  retry: 5,
  join: 2,
  leave: 1,
  pause: 1,
  resume: 8,
  change: 2,
  expire: 1,
  conclude: 1,
} as const;

/** Numbers that `take` reads against the world as it is then. */
export interface Step {
  readonly action: keyof typeof actions;
  /** Which turn, attempt or participant; 0 to 7 the current one. */
  readonly pick: number;
  readonly worker: number;
  readonly amount: number;
}

/** One thing that happens. */
export const stepArbitrary: fc.Arbitrary<Step> = fc.record({
  action: fc.oneof(
    ...Object.entries(actions).map(([action, weight]) => ({
      weight,
      arbitrary: fc.constant(action as keyof typeof actions),
    })),
  ),
  // Without bias: edge values would mostly be somebody else's turn.
  pick: fc.noBias(fc.nat(11)),
  worker: fc.noBias(fc.nat(2)),
  amount: fc.noBias(fc.nat(700)),
});

const policies: readonly Policy[] = [
  { kind: 'round-robin' },
  { kind: 'least-recently-spoke' },
  { kind: 'weighted-random', seed: 3, weights: {} },
  { kind: 'addressed' },
  { kind: 'manual' },
];

/** What a discussion is opened with. */
export const settingArbitrary = fc.record({
  policy: fc.constantFrom(...policies),
  limits: fc.record({
    ...Object.fromEntries(Object.entries(defaultLimits).map(([key, value]) => [key, fc.constant(value)])),
    maxTurns: fc.constantFrom(2, 12, 50, 50),
    maxTokens: fc.constantFrom(400, 3000, 100_000, 100_000),
    deadline: fc.constantFrom(null, null, new Date(startMs + 40 * minute).toISOString()),
    stopPhrases: fc.constantFrom(0, 0, 0, 1).map((n) => ['farewell'].slice(0, n)),
  }),
  participants: fc.constantFrom(
    [agent('Ada'), agent('Bob')],
    [agent('Ada'), person('Eve', { answerWithinMs: 3 * minute }), agent('Ada')],
    [external('Bot'), person('Finn'), agent('Ada'), agent('Bob')],
    [person('Eve', { answerWithinMs: 3 * minute }), external('Bot')],
    [agent('Ada')],
    [agent('Ada'), agent('Bob'), agent('Cleo')],
    [agent('Bob'), agent('Ada')],
    [],
  ),
  autostart: fc.constantFrom(true, true, true, false),
});
/** As `settingArbitrary` draws it. */
export type Setting = typeof settingArbitrary extends fc.Arbitrary<infer S> ? S : never;

/** A world in which the discussion was just opened. */
export function begin({ limits, ...setting }: Setting): World {
  const world: World = {
    state: { status: 'none' },
    log: [],
    nowMs: startMs,
    commands: 0,
    refused: 0,
    attempts: [],
    turnIds: [],
    lastCommand: null,
  };
  ask(world, open({ ...setting, limits: { ...defaultLimits, ...limits } }));
  return world;
}

/** Lets the decider have a command; a refusal changes nothing. @returns whether it was accepted. */
export function ask(world: World, command: DiscussionCommand): boolean {
  world.lastCommand = command;
  world.commands += 1;
  const revision = command.kind === 'fork' ? -1 : (world.log.at(-1)?.revision ?? -1);
  const decides: Discussion = command.kind === 'fork' ? { status: 'none' } : world.state;
  let events: DiscussionEvent[];
  try {
    events = decideDiscussion(decides, command, decidingOf(revision, world.nowMs, `command ${world.commands}`));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    world.refused += 1;
    return false;
  }
  checkSchemas(events);
  const before = command.kind === 'fork' ? command.prefix.state : world.state;
  if (command.kind === 'fork') world.log = world.log.slice(0, offsetIn(events));
  world.state = foldFrom(before, events, revision + 1, world.nowMs);
  for (const [i, event] of events.entries()) {
    world.log.push({ event, revision: revision + 1 + i, atMs: world.nowMs });
    if (event.type === 'TurnClaimed') world.attempts.push(event.data);
    if (event.type === 'TurnRequested') world.turnIds.push(event.data.turnId);
  }
  return true;
}

/** Turns a step into its command and asks it; time may pass before. */
export function take(world: World, step: Step): void {
  if (step.action === 'wait' || (step.action === 'skip' && step.pick < 6)) world.nowMs += step.amount * 1000;
  const command = commandOf(world, step);
  if (command !== null) ask(world, command);
}

function commandOf(world: World, step: Step): DiscussionCommand | null {
  const { pick } = step;
  const participants = world.state.status === 'none' ? [] : world.state.participants;
  const participantId = participants[pick % Math.max(1, participants.length)]?.participantId ?? pickedTurn(world, pick);
  switch (step.action) {
    case 'claim':
    case 'complete':
    case 'abandon':
      return workersCommand(world, step);
    case 'repeat':
      return world.lastCommand;
    case 'answer':
      return post(pick % 2 === 0 ? 'Eve' : 'Finn', said(step), { turnId: pickedTurn(world, pick), onBehalf: pick < 6 });
    case 'post':
      return post(pick % 2 === 0 ? 'Eve' : 'Zoe', said(step));
    case 'cancel':
      return { kind: 'cancelTurn', turnId: pickedTurn(world, pick) };
    case 'skip':
      return { kind: 'skipTurn', turnId: pickedTurn(world, pick) };
    case 'retry':
      return { kind: 'retryTurn', turnId: pickedTurn(world, pick) };
    case 'request':
      return { kind: 'requestTurn', participantId };
    case 'leave':
      return { kind: 'leave', participantId };
    case 'join':
      return { kind: 'join', participant: [agent('Ada'), person('Finn'), external('Bot')][pick % 3] ?? agent('Ada') };
    case 'change':
      if (pick % 2 === 1) return { kind: 'change', limits: { maxTurns: pick + 1 } };
      return { kind: 'change', policy: policies[pick % policies.length] ?? { kind: 'manual' } };
    case 'wait':
      return null;
    case 'fork':
      return forkOf(world, step, policies);
    case 'expire':
    case 'conclude':
      return pick === 0 ? { kind: step.action } : null;
    default:
      return { kind: step.action };
  }
}

function pickedTurn(world: World, pick: number): string {
  return world.turnIds.at(pick < 8 ? -1 : 6 - pick) ?? '00000000-0000-4000-8000-000000000000';
}

function said({ amount }: Step): string {
  return ['Well.', '@Ada, and you?', '@Eve @Bob', 'Farewell'][amount % 4] ?? '';
}

function workersCommand(world: World, step: Step): DiscussionCommand {
  const { pick, amount } = step;
  const by = { worker: `w${step.worker}`, incarnation: `i${pick % 2}` };
  if (step.action === 'claim') {
    const open = world.state.status === 'none' ? null : world.state.turn;
    const attempt = Math.max(1, (open?.attempts ?? 0) + (pick === 11 ? 0 : 1));
    const turnId = pickedTurn(world, pick);
    const chain = pick % 2 === 0 ? {} : { chain: { index: open?.nextModel ?? 0, length: 3 } };
    const claim = { leaseMs: 15_000, reserved: amount, prompt: promptRecord, ...chain };
    return { kind: 'claimTurn', turnId, attempt, ...by, ...claim };
  }
  const known = world.attempts.at(pick < 8 ? -1 : 6 - pick) ?? {
    turnId: pickedTurn(world, pick),
    attempt: 1,
    ...by,
  };
  const { turnId, attempt, worker, incarnation } = known;
  const held = { turnId, attempt, worker: pick === 7 ? by.worker : worker, incarnation };
  const used = usage(amount, pick);
  if (step.action === 'complete') {
    const timing = { firstTokenMs: null, totalMs: amount };
    const content = textContent(said(step));
    return { kind: 'completeTurn', ...held, content, usage: used, finishReason: 'end_turn', timing };
  }
  const reason = step.worker === 0 ? 'lease_lost' : 'error';
  const again = { retryable: pick % 3 !== 1, retryAfterMs: amount, halveWindow: pick === 4 };
  return { kind: 'abandonTurn', ...held, reason, detail: 'broke off', usage: used, ...again };
}
