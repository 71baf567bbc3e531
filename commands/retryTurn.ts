import type { Asked } from './dispatch.ts';
import { onDiscussion, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';

/** Asks for the last turn again, after it failed, was skipped or cancelled. */
export function retryTurn(engine: Engine, id: string, turnId: string, asked: Asked): Promise<DiscussionOutcome> {
  return onDiscussion(engine, id, { kind: 'retryTurn', turnId }, asked);
}
