import { z } from 'zod';
import { lineOfText, personal } from '../text.ts';

/** A passage that a prompt shows again: where its text stands in the log. */
export const retrievedSchema = z.strictObject({
  eventId: z.uuid(),
  stream: z.string().max(200),
  revision: z.int().min(0),
  kind: z.enum(['message', 'document']),
  /** UTF-16 units of the event's text, `to` exclusive. */
  from: z.int().min(0),
  to: z.int().min(1),
  /** Cosine similarity to what was said last. */
  score: z.number(),
  /** Who said it; of a document, the title of the discussion that was given it. */
  author: personal(lineOfText(200)),
});
export type Retrieved = z.infer<typeof retrievedSchema>;

/** How it was looked for. */
export const recallSchema = z.strictObject({
  scope: z.enum(['discussion', 'project']),
  /** Whose vectors were compared; null when none were. */
  model: z.string().nullable(),
  /** Why the attempt goes without. */
  failed: z.enum(['late', 'unavailable']).optional(),
});
export type Recall = z.infer<typeof recallSchema>;

/** Of a prompt's record: absent for an agent without memory. */
export const recalled = {
  /** What was recalled, in the order in which it is shown. */
  retrieved: z.array(retrievedSchema).max(20).optional(),
  recall: recallSchema.optional(),
};
