import type { Asked } from './dispatch.ts';
import { onDiscussion, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';

/** Ends a discussion whose wall-clock deadline has passed. */
export function expireDiscussion(engine: Engine, id: string, asked: Asked): Promise<DiscussionOutcome> {
  return onDiscussion(engine, id, { kind: 'expire' }, asked);
}
