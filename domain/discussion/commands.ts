import { lineOfText, plainText } from '../text.ts';
import type { StopReason } from '../model.ts';
import type { Content } from '../content.ts';
import type { Chain } from './chain.ts';
import type { Limits, Participant, Policy, PromptRecord } from './events.ts';
import { limitsSchema } from './events.ts';
import type { Prefix } from './fork.ts';

/** A participant before it has an id; its name is made unique when it joins. */
export type Newcomer = Omit<Participant, 'participantId'>;

export interface ReportedUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly source: 'reported' | 'estimated' | 'reserved';
}

/** Which attempt of which turn, by whom: what the fence compares. */
export interface Attempt {
  readonly turnId: string;
  readonly attempt: number;
  readonly worker: string;
  readonly incarnation: string;
}

/** A new discussion that goes on where another one stood. */
export interface Fork {
  readonly parentId: string;
  /** The parent's history up to the event that counts last. */
  readonly prefix: Prefix;
  /** Of that event. */
  readonly revision: number;
  readonly prefixHash: string;
  readonly nonce: string;
  readonly title?: string;
  readonly policy?: Policy;
  readonly limits?: Partial<Limits>;
  /** Who answers for a participant from now on, by participantId. */
  readonly agents?: Readonly<Record<string, Newcomer>>;
}

/** Everything a discussion can be asked. */
export type DiscussionCommand =
  | {
      readonly kind: 'open';
      readonly projectId: string;
      readonly nonce: string;
      readonly title: string;
      readonly topic: string;
      readonly contextText?: string;
      readonly policy: Policy;
      readonly limits: Limits;
      readonly priority: number;
      readonly participants: readonly Newcomer[];
      readonly autostart: boolean;
    }
  | ({ readonly kind: 'fork' } & Fork)
  | { readonly kind: 'join'; readonly participant: Newcomer }
  | { readonly kind: 'leave'; readonly participantId: string }
  | {
      readonly kind: 'post';
      readonly author: { readonly userId: string; readonly name: string };
      /** May answer in the name of a person who is not the author. */
      readonly onBehalf: boolean;
      readonly content: Content;
      readonly replyTo?: string;
      readonly turnId?: string;
    }
  | { readonly kind: 'requestTurn'; readonly participantId: string }
  | { readonly kind: 'retryTurn'; readonly turnId: string }
  | { readonly kind: 'cancelTurn'; readonly turnId: string }
  | { readonly kind: 'skipTurn'; readonly turnId: string }
  | ({
      readonly kind: 'claimTurn';
      readonly leaseMs: number;
      readonly reserved: number;
      readonly prompt: PromptRecord;
      readonly chain?: Chain;
    } & Attempt)
  | ({
      readonly kind: 'completeTurn';
      readonly content: Content;
      readonly usage: ReportedUsage;
      readonly finishReason: StopReason;
      readonly timing: { readonly firstTokenMs: number | null; readonly totalMs: number };
    } & Attempt)
  | ({
      readonly kind: 'abandonTurn';
      readonly reason: StopReason;
      readonly detail: string;
      readonly partial?: string;
      readonly usage: ReportedUsage;
      /** Whether another attempt with the same model may succeed. */
      readonly retryable: boolean;
      /** Pause before the same models are asked again; a fall-back is asked at once. */
      readonly retryAfterMs: number;
      readonly halveWindow: boolean;
    } & Attempt)
  | { readonly kind: 'pause' }
  | { readonly kind: 'resume' }
  | { readonly kind: 'conclude'; readonly detail?: string }
  | { readonly kind: 'expire' }
  | { readonly kind: 'change'; readonly policy?: Policy; readonly limits?: Partial<Limits> };

export const titleSchema = lineOfText(200);
export const topicSchema = plainText(10_000).trim().min(1);
export const contextTextSchema = plainText(200_000);
export const givenLimitsSchema = limitsSchema.partial();
