import { z } from 'zod';
import { contentSchema } from '../../domain/content.ts';
import { stopReasons } from '../../domain/model.ts';
import type { MessageRow } from '../../projections/messages.ts';

export const messageSchema = z
  .strictObject({
    messageId: z.uuid(),
    /** Where it stands: the discussion itself, or one that it was forked from. */
    discussionId: z.uuid(),
    author: z.strictObject({
      kind: z.enum(['agent', 'external', 'person']),
      participantId: z.uuid().nullable(),
      agentId: z.uuid().nullable(),
      userId: z.string().nullable(),
      name: z.string(),
    }),
    content: contentSchema,
    /** The text parts, joined. */
    text: z.string(),
    turnId: z.uuid().nullable(),
    turnNumber: z.int().nullable(),
    replyTo: z.uuid().nullable(),
    finishReason: z.enum(stopReasons).nullable(),
    /** Of that discussion. */
    revision: z.int(),
    at: z.iso.datetime(),
  })
  .meta({ id: 'Message' });

export const exampleMessage = {
  messageId: '4c3f4a11-0f6c-5ab4-9d24-5d0f6a520f6c',
  discussionId: '01890a5d-ac96-774b-bcce-b302099a8057',
  author: { kind: 'person' as const, participantId: null, agentId: null, userId: 'grace', name: 'grace' },
  content: [{ type: 'text' as const, text: 'What about patents?' }],
  text: 'What about patents?',
  turnId: null,
  turnNumber: null,
  replyTo: null,
  finishReason: null,
  revision: 7,
  at: '2025-01-31T12:00:04.000Z',
};

/** A message as the API shows it. */
export function showMessage(row: MessageRow): z.input<typeof messageSchema> {
  const { messageId, discussionId, author, content, text, turnId, turnNumber, replyTo, finishReason, revision, at } =
    row;
  const { kind, participantId, agentId, userId, name } = author;
  return {
    messageId,
    discussionId,
    author: { kind, participantId, agentId, userId, name },
    content: [...content],
    text,
    turnId,
    turnNumber,
    replyTo,
    finishReason,
    revision,
    at,
  };
}
