/** What may happen in a discussion, one command after the other. */
import { v5 } from 'uuid';
import type { Participant } from '../../domain/discussion/events.ts';

interface Turn {
  readonly turnId: string;
  readonly number: number;
  readonly participant: Participant;
  attempt: number;
  claimed: boolean;
}

export interface Discussion {
  readonly id: string;
  readonly project: string;
  readonly participants: Participant[];
  revision: number;
  turns: number;
  turn: Turn | null;
  /** Attempts of cancelled turns that nobody has settled yet. */
  unsettled: { turnId: string; attempt: number }[];
  status: 'open' | 'paused' | 'concluded';
}

/** An event without its envelope. */
export type Data = readonly [type: string, data: Record<string, unknown>];

type NewId = (what: string) => string;

/** A discussion that has not been opened yet. */
export function newDiscussion(newId: NewId, index: number, project: string): Discussion {
  const participants: Participant[] = [
    { participantId: newId('p'), kind: 'agent', name: 'Ada', agentId: newId('a'), agentVersion: 1 },
    { participantId: newId('p'), kind: 'agent', name: 'Bo', agentId: newId('a'), agentVersion: 2 },
    { participantId: newId('p'), kind: 'external', name: 'Cy', agentId: newId('a'), agentVersion: 1 },
    { participantId: newId('p'), kind: 'person', name: 'Di', userId: 'u-4' },
  ];
  const turn = null;
  return {
    id: newId(`discussion ${index}`),
    project,
    participants,
    revision: -1,
    turns: 0,
    turn,
    unsettled: [],
    status: 'open',
  };
}

/** What opening it appends. */
export function opening(discussion: Discussion): Data[] {
  const limits = {
    maxTurns: 50,
    maxTokens: 500_000,
    maxCostUsd: null,
    deadline: discussion.id < '8' ? '2026-02-03T04:05:06+02:00' : null,
    stopPhrases: ['so be it'],
  };
  const opened = {
    projectId: discussion.project,
    nonce: 'n',
    title: 'A title',
    topic: "It's a 'topic' \\ \"?",
    context: {},
  };
  return [
    [
      'DiscussionOpened',
      { ...opened, policy: { kind: 'round-robin' }, limits, priority: discussion.revision === -1 ? 5 : 0 },
    ],
    ...discussion.participants.map((each): Data => ['ParticipantJoined', each]),
    request(discussion, 0),
  ];
}

function request(discussion: Discussion, index: number): Data {
  const participant = discussion.participants[index % discussion.participants.length];
  if (participant === undefined) throw new Error('a discussion has participants');
  discussion.turns += 1;
  const number = discussion.turns;
  // Derived, so that a turn's id is the same whatever else was written before it.
  const turnId = v5(`turn ${number}`, discussion.id);
  discussion.turn = { turnId, number, participant, attempt: 0, claimed: false };
  const answeredBy = participant.kind === 'agent' ? 'model' : 'participant';
  const candidates = discussion.participants.map((each) => each.participantId);
  const why = { policy: 'round-robin', policyVersion: 1, reason: 'is next', candidates };
  const answerWithinMs = answeredBy === 'model' ? null : 60_000;
  return [
    'TurnRequested',
    { turnId, number, participantId: participant.participantId, answeredBy, answerWithinMs, why },
  ];
}

/** What happens next in a discussion: nothing once it has ended. */
export function step(discussion: Discussion, newId: NewId, random: () => number): Data[] {
  const { turn } = discussion;
  const dice = random();
  const settled = discussion.unsettled.pop();
  if (settled) return [['TurnAttemptAbandoned', abandoned(settled.turnId, settled.attempt, 'lease_lost', null)]];
  if (discussion.status === 'concluded') return [];
  if (discussion.status === 'paused') return resumed(discussion, random);
  if (dice < 0.1) return [['MessagePosted', posted(discussion, newId, random)]];
  if (dice < 0.12) return paused(discussion, 'requested');
  if (dice < 0.125) return concluded(discussion);
  if (turn === null) return [request(discussion, Math.floor(random() * 4))];
  if (dice < 0.15) return cancelled(discussion, turn, random);
  if (turn.participant.kind !== 'agent') {
    if (dice < 0.3)
      return [['TurnSkipped', { turnId: turn.turnId, reason: 'deadline' }], request(discussion, turn.number)];
    turn.attempt = 1;
    return [['TurnCompleted', completed(turn, newId, random, null)], request(discussion, turn.number)];
  }
  if (!turn.claimed) return [claim(turn, random)];
  return attemptEnds(discussion, turn, newId, random);
}

function attemptEnds(discussion: Discussion, turn: Turn, newId: NewId, random: () => number): Data[] {
  if (random() < 0.75) {
    const model = { provider: 'offline', name: 'offline', digest: null };
    return [['TurnCompleted', completed(turn, newId, random, model)], request(discussion, turn.number)];
  }
  turn.claimed = false;
  if (turn.attempt < 3 || random() < 0.5)
    return [['TurnAttemptAbandoned', abandoned(turn.turnId, turn.attempt, 'error', Math.floor(random() * 3_000))]];
  return [
    ['TurnAttemptAbandoned', abandoned(turn.turnId, turn.attempt, 'error', null)],
    ['TurnFailed', { turnId: turn.turnId, attempts: turn.attempt, reason: 'error', detail: 'no answer' }],
    request(discussion, turn.number),
  ];
}

function claim(turn: Turn, random: () => number): Data {
  turn.attempt += 1;
  turn.claimed = true;
  const prompt = {
    renderer: 'test',
    sha256: 'c'.repeat(64),
    window: null,
    context: [],
    messageChars: 20_000,
    agentVersion: 1,
    model: { provider: 'offline', name: 'offline', digest: null },
    parameters: {},
    controlTokens: [],
    retrieved: [],
  };
  const worker = random() < 0.5 ? 'worker-1' : 'worker-2';
  const { turnId, attempt } = turn;
  return ['TurnClaimed', { turnId, attempt, worker, incarnation: 'first', leaseMs: 15_000, reserved: 900, prompt }];
}

function completed(turn: Turn, newId: NewId, random: () => number, model: object | null) {
  return {
    turnId: turn.turnId,
    attempt: turn.attempt,
    messageId: newId('message'),
    participantId: turn.participant.participantId,
    content: [{ type: 'text', text: `Turn ${turn.number}: "é ☃ 😀" and a\nsecond line \\` }],
    model,
    usage: { inputTokens: Math.floor(random() * 1_000), outputTokens: Math.floor(random() * 200), source: 'reported' },
    finishReason: 'end_turn',
    timing: { firstTokenMs: 12, totalMs: 345 },
  };
}

function abandoned(turnId: string, attempt: number, reason: string, retryAfterMs: number | null) {
  const usage = { inputTokens: 900, outputTokens: 0, source: 'reserved' };
  return { turnId, attempt, reason, detail: 'it broke', partial: 'half a sent', usage, retryAfterMs };
}

function posted(discussion: Discussion, newId: NewId, random: () => number) {
  const joined = discussion.participants.find((each) => each.kind === 'person');
  const joinedAuthor = { userId: 'u-4', participantId: joined?.participantId, name: 'Di' };
  const author = random() < 0.5 && joined ? joinedAuthor : { userId: 'u-9', name: 'Passer-by' };
  return {
    messageId: newId('message'),
    author,
    content: [
      { type: 'text', text: 'one' },
      { type: 'text', text: 'two' },
    ],
  };
}

function paused(discussion: Discussion, reason: string): Data[] {
  discussion.status = 'paused';
  return [['DiscussionPaused', { reason }]];
}

function resumed(discussion: Discussion, random: () => number): Data[] {
  discussion.status = 'open';
  const next = discussion.turn === null ? [request(discussion, Math.floor(random() * 4))] : [];
  return [['DiscussionResumed', {}], ...next];
}

function cancelled(discussion: Discussion, turn: Turn, random: () => number): Data[] {
  if (turn.claimed) discussion.unsettled.push({ turnId: turn.turnId, attempt: turn.attempt });
  return [
    ['TurnCancelled', { turnId: turn.turnId, reason: 'requested' }],
    request(discussion, Math.floor(random() * 4)),
  ];
}

function concluded(discussion: Discussion): Data[] {
  const { turn } = discussion;
  discussion.status = 'concluded';
  if (turn?.claimed) discussion.unsettled.push({ turnId: turn.turnId, attempt: turn.attempt });
  const end: Data = ['DiscussionConcluded', { reason: 'requested' }];
  return turn === null ? [end] : [['TurnCancelled', { turnId: turn.turnId, reason: 'concluded' }], end];
}
