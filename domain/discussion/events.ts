import { z } from 'zod';
import { contentSchema } from '../content.ts';
import { parametersSchema, providers, stopReasons } from '../model.ts';
import { lineOfText, personal, plainText } from '../text.ts';
import { chainSchema } from './chain.ts';
import { recalled } from './retrieved.ts';

const id = z.uuid();

export const policySchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('round-robin') }),
  z.strictObject({ kind: z.literal('least-recently-spoke') }),
  z.strictObject({
    kind: z.literal('weighted-random'),
    seed: z.int().min(0).max(4_294_967_295).default(1),
    /** participantId, agentId, userId or name → weight; who is not named weighs 1. */
    weights: z.record(lineOfText(200), z.number().min(0).max(1000)).default({}),
  }),
  z.strictObject({ kind: z.literal('addressed') }),
  z.strictObject({ kind: z.literal('manual') }),
]);
export type Policy = z.infer<typeof policySchema>;

export const limitsSchema = z.strictObject({
  maxTurns: z.int().min(1).max(1_000_000),
  maxTokens: z.int().min(1).max(10_000_000_000),
  maxCostUsd: z.number().min(0).max(1_000_000).nullable(),
  /** RFC 3339; the discussion ends at this moment even when nothing else happens. */
  deadline: z.iso.datetime({ offset: true }).nullable(),
  stopPhrases: z.array(plainText(200).min(1)).max(20),
});
export type Limits = z.infer<typeof limitsSchema>;

/** Nothing runs for ever: what a discussion gets when it names no limits. */
export const defaultLimits: Limits = {
  maxTurns: 50,
  maxTokens: 500_000,
  maxCostUsd: null,
  deadline: null,
  stopPhrases: [],
};

export const participantSchema = z.strictObject({
  participantId: id,
  /** `agent` is answered by our workers, `external` and `person` by POST …/messages. */
  kind: z.enum(['agent', 'external', 'person']),
  name: lineOfText(64),
  agentId: id.optional(),
  /** The pinned version of the agent. */
  agentVersion: z.int().min(1).optional(),
  userId: z.string().max(200).optional(),
  /** How long this participant has for an answer; null waits for ever. Absent for agents. */
  answerWithinMs: z.int().min(1).nullable().optional(),
});
export type Participant = z.infer<typeof participantSchema>;

export const whySchema = z.strictObject({
  /** The policy that chose, or what did instead: `retry`, `request`. */
  policy: z.string(),
  policyVersion: z.int(),
  reason: z.string(),
  candidates: z.array(id),
  scores: z.record(id, z.number()).optional(),
});
export type Why = z.infer<typeof whySchema>;

/** Who is given the floor. */
const asked = {
  turnId: id,
  number: z.int().min(1),
  participantId: id,
  /** Who is to answer: our workers, or the participant by a message. */
  answeredBy: z.enum(['model', 'participant']),
  why: whySchema,
};

export const usageSchema = z.strictObject({
  inputTokens: z.int().min(0),
  outputTokens: z.int().min(0),
  source: z.enum(['reported', 'estimated', 'reserved']),
});

/** Whatever the prompt was made of, so that it can be rendered again from the log alone. */
export const promptRecordSchema = z.strictObject({
  renderer: z.string(),
  sha256: z.string().length(64),
  /** Messages of these places in the lineage (revisions where nothing was forked), both inclusive; null for none yet. */
  window: z.strictObject({ from: z.int().min(0), to: z.int().min(0) }).nullable(),
  /** The context's characters that fitted, as [from, to) ranges. */
  context: z.array(z.tuple([z.int(), z.int()])),
  /** A message longer than this was shown cut, in UTF-16 units. */
  messageChars: z.int().min(1),
  agentVersion: z.int().min(1),
  model: z.strictObject({ provider: z.enum(providers), name: z.string(), digest: z.string().nullable() }),
  parameters: parametersSchema,
  controlTokens: z.array(z.string()),
  ...recalled,
});
export type PromptRecord = z.infer<typeof promptRecordSchema>;

const turnId = id;
const attempt = z.int().min(1);

/** What a discussion is made with, by whoever opens it or from the one it was forked from. */
const beginning = {
  projectId: z.string(),
  nonce: z.string(),
  title: personal(lineOfText(200)),
  topic: personal(plainText(10_000)),
  policy: policySchema,
  limits: limitsSchema,
  priority: z.int().min(0).max(9),
};

const count = z.int().min(0);

/** What a fork takes over, small enough to be repeated, so that read models need its own stream alone. */
const inheritance = {
  /** The parent, and the last of its events that counts. */
  from: id,
  revision: count,
  /** Of the parent's events up to that one, as they are stored: see `nextPrefixHash`. */
  prefixHash: z.string().length(64),
  participants: z.array(z.strictObject({ ...participantSchema.shape, left: z.boolean(), lastTurn: count })),
  /** The turn that was open there, which the next event cancels; `attempts` had begun. */
  turn: z.strictObject({ ...asked, requestedAt: z.iso.datetime(), attempts: count }).nullable(),
  turnsRequested: count,
  turnsCompleted: count,
  messages: count,
  inputTokens: count,
  outputTokens: count,
  /** Events that stand before this one in the lineage. */
  offset: count,
  /** The eldest first, the parent last; turns up to number `turns` that no elder one has stand in it. */
  ancestors: z.array(z.strictObject({ discussionId: id, revision: count, turns: count })).max(100),
};

export const endReasons = ['requested', 'max-turns', 'max-tokens', 'max-cost', 'deadline', 'stop-phrase'] as const;

export const discussionEvents = {
  DiscussionOpened: {
    version: 1,
    schema: z.strictObject({
      ...beginning,
      context: z.strictObject({ text: personal(plainText(200_000)).optional() }),
    }),
  },
  DiscussionForked: { version: 1, schema: z.strictObject({ ...beginning, ...inheritance }) },
  ParticipantJoined: { version: 1, schema: participantSchema },
  ParticipantLeft: { version: 1, schema: z.strictObject({ participantId: id }) },
  MessagePosted: {
    version: 1,
    schema: z.strictObject({
      messageId: id,
      author: z.strictObject({ userId: z.string(), participantId: id.optional(), name: lineOfText(200) }),
      content: contentSchema,
      replyTo: id.optional(),
    }),
  },
  TurnRequested: {
    version: 1,
    schema: z.strictObject({
      ...asked,
      /** Skipped when not answered within this time of the event; null waits for ever. Absent for models. */
      answerWithinMs: z.int().nullable().optional(),
    }),
  },
  TurnClaimed: {
    version: 1,
    schema: z.strictObject({
      turnId,
      attempt,
      worker: z.string(),
      /** Another start of the same worker is another incarnation. */
      incarnation: z.string(),
      leaseMs: z.int().min(1),
      /** Tokens set aside for this attempt, and charged should its worker die. */
      reserved: z.int().min(0),
      prompt: promptRecordSchema,
      /** Absent for an agent with one model. */
      chain: chainSchema.optional(),
    }),
  },
  TurnCompleted: {
    version: 1,
    schema: z.strictObject({
      turnId,
      attempt,
      messageId: id,
      participantId: id,
      content: contentSchema,
      replyTo: id.optional(),
      /** Null when the participant answered by a message. */
      model: z
        .strictObject({ provider: z.enum(providers), name: z.string(), digest: z.string().nullable() })
        .nullable(),
      usage: usageSchema,
      finishReason: z.enum(stopReasons),
      timing: z.strictObject({ firstTokenMs: z.int().nullable(), totalMs: z.int() }),
    }),
  },
  TurnAttemptAbandoned: {
    version: 1,
    schema: z.strictObject({
      turnId,
      attempt,
      reason: z.enum(stopReasons),
      detail: plainText(2000),
      partial: personal(plainText(1_000_000)).optional(),
      usage: usageSchema,
      /** The next attempt is due this long after this event; null when there will be none. */
      retryAfterMs: z.int().min(0).nullable(),
      /** The next attempt shows this share of the window, in 1/n. */
      windowDivisor: z.int().min(1).optional(),
      /** The next attempt asks this model of the chain. Absent when nothing changes it, and for an agent with one model. */
      nextModel: z.int().min(0).optional(),
      /** The model of this attempt is not asked again at this turn: it fails whenever it is. */
      modelSpent: z.literal(true).optional(),
    }),
  },
  TurnFailed: {
    version: 1,
    schema: z.strictObject({ turnId, attempts: count, reason: z.enum(stopReasons), detail: plainText(2000) }),
  },
  TurnSkipped: { version: 1, schema: z.strictObject({ turnId, reason: z.enum(['deadline', 'left']) }) },
  TurnCancelled: {
    version: 1,
    schema: z.strictObject({
      turnId,
      reason: z.enum(['requested', 'concluded', 'left', 'budget_exhausted', 'forked']),
    }),
  },
  DiscussionPaused: {
    version: 1,
    schema: z.strictObject({ reason: z.enum(['requested', 'not-started', 'failures', 'nobody-answers']) }),
  },
  DiscussionResumed: { version: 1, schema: z.strictObject({}) },
  DiscussionConcluded: {
    version: 1,
    schema: z.strictObject({ reason: z.enum(endReasons), detail: personal(plainText(500)).optional() }),
  },
  PolicySwitched: { version: 1, schema: z.strictObject({ policy: policySchema }) },
  LimitsChanged: { version: 1, schema: z.strictObject({ limits: limitsSchema }) },
} as const;

export type DiscussionEvent = {
  [T in keyof typeof discussionEvents]: { type: T; data: z.infer<(typeof discussionEvents)[T]['schema']> };
}[keyof typeof discussionEvents];
export type DiscussionEventData<T extends DiscussionEvent['type']> = Extract<DiscussionEvent, { type: T }>['data'];
