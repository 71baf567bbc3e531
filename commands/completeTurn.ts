import type { DiscussionCommand } from '../domain/discussion/commands.ts';
import type { Asked } from './dispatch.ts';
import { onDiscussion, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';

export type CompleteTurn = Omit<Extract<DiscussionCommand, { kind: 'completeTurn' }>, 'kind'>;

/** The current attempt ends its turn with an answer; the next turn or the end is in the same batch. */
export function completeTurn(engine: Engine, id: string, turn: CompleteTurn, asked: Asked): Promise<DiscussionOutcome> {
  return onDiscussion(engine, id, { kind: 'completeTurn', ...turn }, asked);
}
