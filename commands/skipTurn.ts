import type { Asked } from './dispatch.ts';
import { onDiscussion, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';

/** Skips a turn whose participant did not answer in time. */
export function skipTurn(engine: Engine, id: string, turnId: string, asked: Asked): Promise<DiscussionOutcome> {
  return onDiscussion(engine, id, { kind: 'skipTurn', turnId }, asked);
}
