import type { Chain } from './chain.ts';
import type { DiscussionEventData, Limits, Participant, Policy, PromptRecord } from './events.ts';

/** A claim in flight: the attempt of one worker at one turn. */
export interface Claim {
  readonly turnId: string;
  readonly participantId: string;
  readonly attempt: number;
  readonly worker: string;
  readonly incarnation: string;
  /** Revision of its TurnClaimed: the fencing token. */
  readonly revision: number;
  readonly reserved: number;
  readonly prompt: PromptRecord;
  /** Absent for an agent with one model. */
  readonly chain?: Chain | undefined;
}

export interface OpenTurn {
  readonly turnId: string;
  readonly number: number;
  readonly participantId: string;
  readonly answeredBy: 'model' | 'participant';
  readonly requestedAtMs: number;
  readonly answerWithinMs: number | null;
  /** Attempts that have started. */
  readonly attempts: number;
  /** Attempts that ended by the model's fault; a lost worker is not counted. */
  readonly failures: number;
  /** The next attempt is due at this time. */
  readonly dueAtMs: number;
  readonly windowDivisor: number;
  /** The model of the agent's chain that the next attempt asks, from 0. */
  readonly nextModel: number;
  /** Models of the chain that are not asked again at this turn. */
  readonly spentModels: readonly number[];
  readonly claim: Claim | null;
  /** The event that requested it. */
  readonly cause: Cause | null;
}

/** An event that leads to others: its id, its correlation, and the span that it was written in. */
export interface Cause {
  readonly eventId: string;
  readonly correlationId: string;
  readonly traceparent?: string;
}

export interface Speaker extends Participant {
  readonly left: boolean;
  /** Number of the last turn it was given, 0 for none. */
  readonly lastTurn: number;
}

/** A message's place in the lineage (its revision where nothing was forked), and where it lies in the transcript counted in tokens (estimated). */
export interface MessageMark {
  readonly revision: number;
  readonly startsAt: number;
  readonly endsAt: number;
}

/** A discussion whose events up to `revision` are the beginning of this one's history. */
export type Ancestor = DiscussionEventData<'DiscussionForked'>['ancestors'][number];

interface Data {
  readonly projectId: string;
  /** Null where it was opened, not forked. */
  readonly forkedFrom: { readonly discussionId: string; readonly revision: number; readonly prefixHash: string } | null;
  /** The eldest first. */
  readonly ancestors: readonly Ancestor[];
  /** Events of the ancestors: how many stand before the first of its own stream. */
  readonly offset: number;
  readonly nonce: string;
  readonly title: string;
  readonly topic: string;
  readonly policy: Policy;
  readonly limits: Limits;
  readonly priority: number;
  readonly participants: readonly Speaker[];
  readonly turn: OpenTurn | null;
  /** Attempts whose turn was ended from outside; each is settled once, so that its tokens are counted. */
  readonly unsettled: readonly Claim[];
  readonly turnsRequested: number;
  readonly turnsCompleted: number;
  readonly failuresInRow: number;
  readonly skipsInRow: number;
  readonly tokensUsed: number;
  /** Participants named by @name in the last message, in order, and who wrote it. */
  readonly addressed: readonly string[];
  readonly lastEnded: {
    turnId: string;
    participantId: string;
    outcome: 'completed' | 'failed' | 'skipped' | 'cancelled';
  } | null;
  readonly messages: number;
  readonly marks: readonly MessageMark[];
}

export type Discussion =
  | { readonly status: 'none' }
  | (Data & { readonly status: 'open' })
  | (Data & { readonly status: 'paused'; readonly reason: DiscussionEventData<'DiscussionPaused'>['reason'] })
  | (Data & { readonly status: 'concluded'; readonly reason: DiscussionEventData<'DiscussionConcluded'>['reason'] });
export type ExistingDiscussion = Exclude<Discussion, { status: 'none' }>;

/** Version of this fold: snapshots of another one do not count. */
export const DISCUSSION_FOLD = 3;

/** Participants who may be given the floor. */
export function present(state: ExistingDiscussion): readonly Speaker[] {
  return state.participants.filter((participant) => !participant.left);
}

/** Tokens set aside for attempts in flight. */
export function reservedTokens(state: ExistingDiscussion): number {
  return [...state.unsettled, ...(state.turn?.claim ? [state.turn.claim] : [])].reduce(
    (sum, claim) => sum + claim.reserved,
    0,
  );
}
