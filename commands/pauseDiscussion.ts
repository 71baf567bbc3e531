import type { Asked } from './dispatch.ts';
import { onDiscussion, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';

/** No further turn begins; one under way ends. */
export function pauseDiscussion(engine: Engine, id: string, asked: Asked): Promise<DiscussionOutcome> {
  return onDiscussion(engine, id, { kind: 'pause' }, asked);
}
