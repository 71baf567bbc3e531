import { z } from 'zod';
import { givenLimitsSchema } from '../domain/discussion/commands.ts';
import { policySchema } from '../domain/discussion/events.ts';
import { Refusal } from '../domain/refusal.ts';
import type { Asked } from './dispatch.ts';
import { onDiscussion, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';
import { definedOnly } from './limits.ts';

export const changeDiscussionSchema = z.strictObject({
  policy: policySchema.optional(),
  limits: givenLimitsSchema.optional(),
});

/** Switches the policy, changes limits, or both. */
export async function changeDiscussion(
  engine: Engine,
  id: string,
  body: z.output<typeof changeDiscussionSchema>,
  asked: Asked,
): Promise<DiscussionOutcome> {
  const { policy, limits } = body;
  // Prices are checked where models are known: when the discussion is opened.
  if (limits?.maxCostUsd != null)
    throw new Refusal('invalid', 'maxCostUsd can only be given when a discussion is opened');
  const change = {
    ...(policy === undefined ? {} : { policy }),
    ...(limits === undefined ? {} : { limits: definedOnly(limits) }),
  };
  return onDiscussion(engine, id, { kind: 'change', ...change }, asked);
}
