import { z } from 'zod';
import { currentTurn, type DiscussionOutcome } from '../../commands/discussionCommand.ts';
import { endReasons, limitsSchema, participantSchema, policySchema } from '../../domain/discussion/events.ts';
import type { DiscussionRow } from '../../projections/discussions.ts';
import { consistencyToken } from '../context.ts';
import type { Answer } from '../route.ts';

const turnSchema = z.strictObject({ turnId: z.uuid(), number: z.int(), participantId: z.uuid() });
const statusSchema = z.enum(['open', 'paused', 'concluded']);

export const discussionSchema = z
  .strictObject({
    id: z.uuid(),
    projectId: z.string(),
    title: z.string(),
    topic: z.string(),
    status: statusSchema,
    /** Why it is paused or has ended. */
    reason: z.string().nullable(),
    policy: policySchema,
    limits: limitsSchema,
    priority: z.int(),
    participants: z.array(participantSchema),
    /** What it goes on from, and the hash of the events it shares; null where it was opened. */
    forkedFrom: z
      .strictObject({ discussionId: z.uuid(), revision: z.int(), prefixHash: z.string().length(64) })
      .nullable(),
    currentTurn: z
      .strictObject({ ...turnSchema.shape, attempt: z.int(), status: z.enum(['requested', 'claimed', 'retrying']) })
      .nullable(),
    turnsCompleted: z.int(),
    messages: z.int(),
    usage: z.strictObject({ inputTokens: z.int(), outputTokens: z.int() }),
    revision: z.int(),
    openedAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
    concludedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Discussion' });

/** What a write on a discussion answers. */
export const discussionOutcomeSchema = z
  .strictObject({
    id: z.uuid(),
    status: statusSchema,
    reason: z.enum(endReasons).or(z.string()).nullable(),
    currentTurn: turnSchema.nullable(),
    revision: z.int(),
  })
  .meta({ id: 'DiscussionOutcome' });

const id = '01890a5d-ac96-774b-bcce-b302099a8057';
const participant = {
  participantId: '0a3f1c52-6f0c-5ab4-9d24-6f1a4c3f4a11',
  kind: 'agent' as const,
  name: 'Ada',
  agentId: '01890a5d-ac96-774b-bcce-b302099a8050',
  agentVersion: 1,
};
const turn = { turnId: '6f1a4c3f-0f6c-5ab4-9d24-5d0f6a520f6c', number: 3, participantId: participant.participantId };

export const exampleOutcome = { id, status: 'open' as const, reason: null, currentTurn: turn, revision: 4 };

export const exampleDiscussion = {
  id,
  projectId: 'default',
  title: 'Licence',
  topic: 'Which licence fits our library?',
  status: 'open' as const,
  reason: null,
  policy: { kind: 'round-robin' as const },
  limits: { maxTurns: 9, maxTokens: 100_000, maxCostUsd: null, deadline: null, stopPhrases: [] },
  priority: 5,
  participants: [participant],
  forkedFrom: null,
  currentTurn: { ...turn, attempt: 1, status: 'claimed' as const },
  turnsCompleted: 2,
  messages: 2,
  usage: { inputTokens: 1200, outputTokens: 210 },
  revision: 9,
  openedAt: '2025-01-31T12:00:00.000Z',
  updatedAt: '2025-01-31T12:00:05.000Z',
  concludedAt: null,
};

/** A discussion as the API shows it. */
export function showDiscussion(row: DiscussionRow): z.input<typeof discussionSchema> {
  const {
    id,
    project,
    title,
    topic,
    status,
    policy,
    limits,
    priority,
    turnsCompleted,
    messages,
    revision,
    openedAt,
    updatedAt,
    concludedAt,
  } = row;
  const reason = row.endReason ?? row.pauseReason;
  const usage = { inputTokens: row.inputTokens, outputTokens: row.outputTokens };
  const { currentTurn: turn } = row;
  return {
    id,
    projectId: project,
    title,
    topic,
    status,
    reason,
    policy,
    limits,
    priority,
    participants: [...row.participants],
    forkedFrom: row.forkedFrom,
    currentTurn: turn,
    turnsCompleted,
    messages,
    usage,
    revision,
    openedAt,
    updatedAt,
    concludedAt,
  };
}

/** What every write on a discussion answers. */
export function answerOutcome(
  outcome: DiscussionOutcome,
  extra: { body?: unknown; headers?: Record<string, string> } = {},
): Answer {
  const { id, state, revision, position, replayed } = outcome;
  const status = state.status === 'none' ? 'open' : state.status;
  const reason = state.status === 'paused' || state.status === 'concluded' ? state.reason : null;
  const body = { id, status, reason, currentTurn: currentTurn(state), revision };
  return { body, revision, consistencyToken: consistencyToken(position), replayed, ...extra };
}
