import { z } from 'zod';
import { usageSchema, whySchema } from '../../domain/discussion/events.ts';
import { stopReasons } from '../../domain/model.ts';
import type { TurnRow } from '../../projections/turns.ts';

const time = z.iso.datetime().nullable();

export const turnSchema = z
  .strictObject({
    turnId: z.uuid(),
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

export const exampleTurn = {
  turnId: '6f1a4c3f-0f6c-5ab4-9d24-5d0f6a520f6c',
  number: 3,
  participantId: '0a3f1c52-6f0c-5ab4-9d24-6f1a4c3f4a11',
  answeredBy: 'model' as const,
  status: 'requested' as const,
  why: {
    policy: 'round-robin',
    policyVersion: 1,
    reason: 'next in the order of joining',
    candidates: ['0a3f1c52-6f0c-5ab4-9d24-6f1a4c3f4a11'],
  },
  attempts: [],
  reason: null,
  detail: null,
  messageId: null,
  model: null,
  dueAt: null,
  answerBy: null,
  revision: 8,
  requestedAt: '2025-01-31T12:00:05.000Z',
  endedAt: null,
};

/** A turn as the API shows it. */
export function showTurn(row: TurnRow): z.input<typeof turnSchema> {
  const {
    turnId,
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
