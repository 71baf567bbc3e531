import type { Asked } from './dispatch.ts';
import { onDiscussion, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';

/** Ends the open turn; its worker stops the model and keeps what was written. */
export function cancelTurn(engine: Engine, id: string, turnId: string, asked: Asked): Promise<DiscussionOutcome> {
  return onDiscussion(engine, id, { kind: 'cancelTurn', turnId }, asked);
}
