import { z } from 'zod';
import { usageSchema, whySchema } from '../../domain/discussion/events.ts';
import { stopReasons } from '../../domain/model.ts';
import type { TurnRow } from '../../projections/turns.ts';

const time = z.iso.datetime().nullable();

export const turnSchema = z
  .strictObject({
    turnId: z.uuid(),
    /** Where it stands: the discussion itself, or one that it was forked from. */
    discussionId: z.uuid(),
    number: z.int(),
    participantId: z.uuid(),
    answeredBy: z.enum(['model', 'participant']),
    status: z.enum(['requested', 'claimed', 'retrying', 'completed', 'failed', 'skipped', 'cancelled']),
    /** Which policy chose this participant, among whom, and why. */
    why: whySchema,
    attempts: z.array(
      z.strictObject({
        attempt: z.int(),
        worker: z.string().nullable(),
        incarnation: z.string().nullable(),
        claimedAt: time,
        /** Revision of its claim: the fencing token. */
        fence: z.int().nullable(),
        reserved: z.int(),
        leaseMs: z.int().nullable(),
        promptSha256: z.string().nullable(),
        /** Who was asked. */
        model: z.strictObject({ provider: z.string(), name: z.string() }).nullable(),
        /** Which fall-back of its agent this was, from 1, and why; null for the agent's own model. */
        fallback: z.strictObject({ index: z.int(), reason: z.enum(['failed', 'circuit_open']) }).nullable(),
        endedAt: time,
        reason: z.enum(stopReasons).nullable(),
        detail: z.string().nullable(),
        /** What was written before it ended without an answer. */
        partial: z.string().nullable(),
        usage: usageSchema.nullable(),
      }),
    ),
    reason: z.string().nullable(),
    detail: z.string().nullable(),
    messageId: z.uuid().nullable(),
    model: z.strictObject({ provider: z.string(), name: z.string() }).nullable(),
    /** When the next attempt is due. */
    dueAt: time,
    /** Until when its participant may answer. */
    answerBy: time,
    revision: z.int(),
    requestedAt: z.iso.datetime(),
    endedAt: time,
  })
  .meta({ id: 'Turn' });

const claimed = {
  worker: 'worker-1',
  incarnation: '01890a5dac96774bbcce',
  reserved: 1850,
  leaseMs: 15_000,
  promptSha256: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
};
const exampleAttempts = [
  {
    attempt: 1,
    ...claimed,
    claimedAt: '2025-01-31T12:00:05.000Z',
    fence: 9,
    model: { provider: 'ollama', name: 'qwen2.5:0.5b' },
    fallback: null,
    endedAt: '2025-01-31T12:00:36.000Z',
    reason: 'time_out' as const,
    detail: 'no answer within 30 s',
    partial: null,
    usage: { inputTokens: 1420, outputTokens: 0, source: 'estimated' as const },
  },
  {
    attempt: 2,
    ...claimed,
    claimedAt: '2025-01-31T12:00:36.000Z',
    fence: 11,
    model: { provider: 'offline', name: 'offline' },
    fallback: { index: 1, reason: 'failed' as const },
    endedAt: null,
    reason: null,
    detail: null,
    partial: null,
    usage: null,
  },
];

export const exampleTurn = {
  turnId: '6f1a4c3f-0f6c-5ab4-9d24-5d0f6a520f6c',
  discussionId: '01890a5d-ac96-774b-bcce-b302099a8057',
  number: 3,
  participantId: '0a3f1c52-6f0c-5ab4-9d24-6f1a4c3f4a11',
  answeredBy: 'model' as const,
  status: 'claimed' as const,
  why: {
    policy: 'round-robin',
    policyVersion: 1,
    reason: 'next in the order of joining',
    candidates: ['0a3f1c52-6f0c-5ab4-9d24-6f1a4c3f4a11'],
  },
  attempts: exampleAttempts,
  reason: null,
  detail: null,
  messageId: null,
  model: { provider: 'offline', name: 'offline' },
  dueAt: null,
  answerBy: null,
  revision: 11,
  requestedAt: '2025-01-31T12:00:05.000Z',
  endedAt: null,
};

/** A turn as the API shows it. */
export function showTurn(row: TurnRow): z.input<typeof turnSchema> {
  const {
    turnId,
    discussionId,
    number,
    participantId,
    answeredBy,
    status,
    why,
    messageId,
    dueAt,
    answerBy,
    revision,
    requestedAt,
    endedAt,
  } = row;
  const model = row.provider === null || row.model === null ? null : { provider: row.provider, name: row.model };
  const attempts = row.attempts.map((each) => ({ ...each }));
  return {
    turnId,
    discussionId,
    number,
    participantId,
    answeredBy,
    status,
    why,
    attempts,
    reason: row.endReason,
    detail: row.endDetail,
    messageId,
    model,
    dueAt,
    answerBy,
    revision,
    requestedAt,
    endedAt,
  };
}
