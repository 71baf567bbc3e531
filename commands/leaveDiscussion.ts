import type { Asked } from './dispatch.ts';
import { onDiscussion, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';

/** A participant leaves; its open turn is cancelled. */
export function leaveDiscussion(
  engine: Engine,
  id: string,
  participantId: string,
  asked: Asked,
): Promise<DiscussionOutcome> {
  return onDiscussion(engine, id, { kind: 'leave', participantId }, asked);
}
