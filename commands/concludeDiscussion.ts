import { z } from 'zod';
import { plainText } from '../domain/text.ts';
import type { Asked } from './dispatch.ts';
import { onDiscussion, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';

export const concludeDiscussionSchema = z.strictObject({ reason: plainText(500).optional() });

/** Ends a discussion; its open turn is cancelled. */
export function concludeDiscussion(
  engine: Engine,
  id: string,
  body: z.output<typeof concludeDiscussionSchema>,
  asked: Asked,
): Promise<DiscussionOutcome> {
  return onDiscussion(
    engine,
    id,
    { kind: 'conclude', ...(body.reason === undefined ? {} : { detail: body.reason }) },
    asked,
  );
}
