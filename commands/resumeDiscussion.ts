import type { Asked } from './dispatch.ts';
import { onDiscussion, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';

/** Goes on after a pause, with the next turn in the same batch. */
export function resumeDiscussion(engine: Engine, id: string, asked: Asked): Promise<DiscussionOutcome> {
  return onDiscussion(engine, id, { kind: 'resume' }, asked);
}
