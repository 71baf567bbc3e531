import type { DiscussionCommand } from '../domain/discussion/commands.ts';
import type { Asked } from './dispatch.ts';
import { onDiscussion, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';

export type AbandonTurn = Omit<Extract<DiscussionCommand, { kind: 'abandonTurn' }>, 'kind'>;

/** An attempt ends without an answer: by its worker, or by whoever took over. Settles its tokens once. */
export function abandonTurn(engine: Engine, id: string, turn: AbandonTurn, asked: Asked): Promise<DiscussionOutcome> {
  return onDiscussion(engine, id, { kind: 'abandonTurn', ...turn }, asked);
}
