import type { Asked } from './dispatch.ts';
import { onDiscussion, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';

/** Gives a participant the floor (manual policy). */
export function requestTurn(
  engine: Engine,
  id: string,
  participantId: string,
  asked: Asked,
): Promise<DiscussionOutcome> {
  return onDiscussion(engine, id, { kind: 'requestTurn', participantId }, asked);
}
