import { estimateTokens, textOf, type Content } from '../content.ts';
import type { RecordedEvent } from '../envelope.ts';
import type { DiscussionEvent, DiscussionEventData } from './events.ts';
import { inherited } from './lineage.ts';
import type { Cause, Discussion, ExistingDiscussion, OpenTurn, Speaker } from './state.ts';

/** Where and when an event stands. */
export interface Place {
  readonly revision: number;
  readonly atMs: number;
  /** The event's own ids, where it stands in the log: what it causes is traced back to them. */
  readonly cause?: Cause;
}

/** Where an event of the log stands. */
export function placeOf({ id, revision, metadata }: RecordedEvent): Place {
  const { correlationId, traceparent, occurredAt } = metadata;
  const cause = { eventId: id, correlationId, ...(traceparent === undefined ? {} : { traceparent }) };
  return { revision, atMs: Date.parse(occurredAt), cause };
}

/** Marks kept; dropped by halves, so that the start of a prompt's window does not move with every message. */
const MAX_MARKS = 400;
/** What a message's frame costs beside its text, in tokens. */
const FRAME_TOKENS = 24;

/**
 * Total: an event that does not fit the state (or is not known) changes nothing. The state that `DiscussionForked` fits is
 * the parent's, at the revision it names.
 */
export function evolveDiscussion(state: Discussion, event: DiscussionEvent, place: Place): Discussion {
  if (state.status === 'none') return event.type === 'DiscussionOpened' ? opened(event.data) : state;
  switch (event.type) {
    case 'ParticipantJoined':
      return { ...state, participants: [...state.participants, { ...event.data, left: false, lastTurn: 0 }] };
    case 'ParticipantLeft':
      return {
        ...state,
        participants: state.participants.map((p) =>
          p.participantId === event.data.participantId ? { ...p, left: true } : p,
        ),
      };
    case 'MessagePosted':
      return said(state, event.data.content, event.data.author.participantId, place);
    case 'PolicySwitched':
      return { ...state, policy: event.data.policy };
    case 'LimitsChanged':
      return { ...state, limits: event.data.limits };
    case 'DiscussionPaused':
      return { ...state, status: 'paused', reason: event.data.reason };
    case 'DiscussionResumed':
      return { ...withoutReason(state), status: 'open', failuresInRow: 0, skipsInRow: 0 };
    case 'DiscussionConcluded':
      return { ...state, status: 'concluded', reason: event.data.reason };
    case 'DiscussionForked':
      return { ...withoutReason(state), ...inherited(state, event.data), status: 'open' };
    case 'DiscussionOpened':
      return state;
    default:
      return evolveTurn(state, event, place);
  }
}

type TurnEvent = Extract<DiscussionEvent, { type: `Turn${string}` }>;

function evolveTurn(state: ExistingDiscussion, event: TurnEvent, place: Place): ExistingDiscussion {
  if (event.type === 'TurnRequested') return requested(state, event.data, place);
  if (event.type === 'TurnAttemptAbandoned') return abandoned(state, event.data, place);
  const turn = state.turn;
  if (turn === null || turn.turnId !== event.data.turnId) return state;
  switch (event.type) {
    case 'TurnClaimed': {
      const { leaseMs: _leaseMs, ...claim } = event.data;
      const held = { ...claim, participantId: turn.participantId, revision: place.revision };
      return { ...state, turn: { ...turn, attempts: event.data.attempt, claim: held } };
    }
    case 'TurnCompleted': {
      const usage = event.data.usage;
      const ended = end(state, turn, 'completed');
      const counted = { ...ended, turn: null, tokensUsed: ended.tokensUsed + usage.inputTokens + usage.outputTokens };
      return said(
        { ...counted, failuresInRow: 0, skipsInRow: 0, turnsCompleted: state.turnsCompleted + 1 },
        event.data.content,
        turn.participantId,
        place,
      );
    }
    case 'TurnFailed':
      return { ...end(state, turn, 'failed'), failuresInRow: state.failuresInRow + 1 };
    case 'TurnSkipped':
      return { ...end(state, turn, 'skipped'), skipsInRow: state.skipsInRow + 1 };
    case 'TurnCancelled': {
      const unsettled = turn.claim === null ? state.unsettled : [...state.unsettled, turn.claim];
      return { ...end(state, turn, 'cancelled'), unsettled };
    }
    // Of a newer program: without this the state would be lost.
    default:
      return state;
  }
}

function opened(data: DiscussionEventData<'DiscussionOpened'>): Discussion {
  const { context: _context, ...rest } = data;
  return {
    ...rest,
    status: 'open',
    ...{ forkedFrom: null, ancestors: [], offset: 0 },
    participants: [],
    turn: null,
    unsettled: [],
    turnsRequested: 0,
    turnsCompleted: 0,
    failuresInRow: 0,
    skipsInRow: 0,
    tokensUsed: 0,
    addressed: [],
    lastEnded: null,
    messages: 0,
    marks: [],
  };
}

function requested(
  state: ExistingDiscussion,
  data: DiscussionEventData<'TurnRequested'>,
  place: Place,
): ExistingDiscussion {
  const { turnId, number, participantId, answeredBy, answerWithinMs = null } = data;
  const times = { requestedAtMs: place.atMs, dueAtMs: place.atMs, answerWithinMs };
  const turn = {
    turnId,
    number,
    participantId,
    answeredBy,
    ...times,
    attempts: 0,
    failures: 0,
    windowDivisor: 1,
    nextModel: 0,
    spentModels: [],
    claim: null,
    cause: place.cause ?? null,
  };
  const participants = state.participants.map((p) =>
    p.participantId === participantId ? { ...p, lastTurn: number } : p,
  );
  // Used up by the turn it asked for: else one who never answers would be chosen again and again.
  const addressed = state.addressed.filter((each) => each !== participantId);
  return { ...state, turn, participants, addressed, turnsRequested: number };
}

function abandoned(
  state: ExistingDiscussion,
  data: DiscussionEventData<'TurnAttemptAbandoned'>,
  place: Place,
): ExistingDiscussion {
  const tokensUsed = state.tokensUsed + data.usage.inputTokens + data.usage.outputTokens;
  const turn = state.turn;
  if (turn?.turnId !== data.turnId)
    return {
      ...state,
      tokensUsed,
      unsettled: state.unsettled.filter((claim) => claim.turnId !== data.turnId || claim.attempt !== data.attempt),
    };
  const failures = data.reason === 'lease_lost' ? turn.failures : turn.failures + 1;
  const windowDivisor = data.windowDivisor ?? turn.windowDivisor;
  const nextModel = data.nextModel ?? turn.nextModel;
  const spent = data.modelSpent === true ? (turn.claim?.chain?.index ?? 0) : null;
  const spentModels = spent === null ? turn.spentModels : [...turn.spentModels, spent];
  return {
    ...state,
    tokensUsed,
    turn: {
      ...turn,
      ...{ claim: null, failures, windowDivisor, nextModel, spentModels },
      dueAtMs: place.atMs + (data.retryAfterMs ?? 0),
    },
  };
}

function end<S extends ExistingDiscussion>(
  state: S,
  turn: OpenTurn,
  outcome: 'completed' | 'failed' | 'skipped' | 'cancelled',
): S {
  return { ...state, turn: null, lastEnded: { turnId: turn.turnId, participantId: turn.participantId, outcome } };
}

function said(
  state: ExistingDiscussion,
  content: Content,
  author: string | undefined,
  place: Place,
): ExistingDiscussion {
  const text = textOf(content);
  const startsAt = state.marks.at(-1)?.endsAt ?? 0;
  const marks = [
    ...state.marks,
    { revision: state.offset + place.revision, startsAt, endsAt: startsAt + estimateTokens(text) + FRAME_TOKENS },
  ];
  return {
    ...state,
    messages: state.messages + 1,
    marks: marks.length > MAX_MARKS ? marks.slice(MAX_MARKS / 2) : marks,
    addressed: addressedIn(text, state.participants, author),
  };
}

/** Those present whose @name stands in the text, in the order of their first mention; nobody addresses themselves. */
function addressedIn(text: string, participants: readonly Speaker[], author: string | undefined): string[] {
  if (!text.includes('@')) return [];
  const lower = text.toLowerCase();
  const named = new Set<Speaker>();
  // Not after a letter: that is a mail address.
  for (const { index } of lower.matchAll(/(?<![\p{L}\p{N}])@/gu)) {
    const found = mentionedAt(index + 1, lower, participants);
    if (found !== null && !found.left && found.participantId !== author) named.add(found);
  }
  return [...named].map((each) => each.participantId);
}

/** Whose whole name stands there; the longest, since "@Ada 2" means Ada 2, not Ada. */
function mentionedAt(at: number, text: string, participants: readonly Speaker[]): Speaker | null {
  let longest: Speaker | null = null;
  for (const each of participants) {
    const name = each.name.toLowerCase();
    if (name.length <= (longest?.name.length ?? 0) || !text.startsWith(name, at)) continue;
    const end = at + name.length;
    if (!/^[\p{L}\p{N}]/u.test(text.slice(end, end + 2))) longest = each;
  }
  return longest;
}

function withoutReason(state: ExistingDiscussion): Omit<ExistingDiscussion, 'status' | 'reason'> {
  const { status: _status, ...data } = state;
  const copy: typeof data & { reason?: string } = { ...data };
  delete copy.reason;
  return copy;
}
