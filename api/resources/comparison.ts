import { z } from 'zod';
import { limitsSchema, participantSchema, policySchema } from '../../domain/discussion/events.ts';
import type { ExistingDiscussion } from '../../domain/discussion/state.ts';
import { exampleDiscussion } from './discussion.ts';
import { exampleMessage, messageSchema } from './message.ts';

const both = <S extends z.ZodType>(schema: S) => z.strictObject({ here: schema, there: schema });
const sideSchema = z.strictObject({
  id: z.uuid(),
  title: z.string(),
  status: z.enum(['open', 'paused', 'concluded']),
  turnsCompleted: z.int(),
  messages: z.int(),
  tokensUsed: z.int(),
  revision: z.int(),
});

export const comparisonSchema = z
  .strictObject({
    /** The last event that both share; `index` is its place in both lineages. */
    common: z.strictObject({ discussionId: z.uuid(), revision: z.int(), index: z.int() }),
    here: sideSchema,
    there: sideSchema,
    /** What is set otherwise now; null or empty where nothing is. */
    differences: z.strictObject({
      title: both(z.string()).nullable(),
      policy: both(policySchema).nullable(),
      limits: both(limitsSchema).nullable(),
      participants: z.array(z.strictObject({ participantId: z.uuid(), ...both(participantSchema.nullable()).shape })),
    }),
    /** What was said after the common event, page by page, the same stretch of both lineages on each page. */
    messages: both(z.array(messageSchema)),
    nextCursor: z.string().nullable(),
  })
  .meta({ id: 'Comparison' });

const { id, title } = exampleDiscussion;
const side = { id, title, status: 'open' as const, turnsCompleted: 4, messages: 4, tokensUsed: 1900, revision: 21 };
const otherId = '0a3f1c52-0f6c-5ab4-9d24-6f1a4c3f4a99';
const { limits } = exampleDiscussion;

export const exampleComparison = {
  common: { discussionId: id, revision: 9, index: 9 },
  here: side,
  there: { ...side, id: otherId, turnsCompleted: 3, messages: 3, revision: 6 },
  differences: {
    title: null,
    policy: null,
    limits: { here: limits, there: { ...limits, maxTurns: 20 } },
    participants: [],
  },
  messages: { here: [exampleMessage], there: [] },
  nextCursor: null,
};

/** One of two discussions that are compared. */
export function showSide(id: string, revision: number, state: ExistingDiscussion): z.input<typeof sideSchema> {
  const { title, status, turnsCompleted, messages, tokensUsed } = state;
  return { id, title, status, turnsCompleted, messages, tokensUsed, revision };
}
