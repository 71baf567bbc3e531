import type { DiscussionCommand } from '../domain/discussion/commands.ts';
import type { Asked } from './dispatch.ts';
import { onDiscussion, type DiscussionOutcome } from './discussionCommand.ts';
import type { Engine } from './engine.ts';

export type ClaimTurn = Omit<Extract<DiscussionCommand, { kind: 'claimTurn' }>, 'kind'>;

/** A worker takes an open turn: its revision is the fence. Refused with `conflict` when the stream has moved since the prompt was rendered. */
export function claimTurn(
  engine: Engine,
  id: string,
  turn: ClaimTurn,
  revision: number,
  asked: Asked,
): Promise<DiscussionOutcome> {
  return onDiscussion(engine, id, { kind: 'claimTurn', ...turn }, asked, { onlyAtRevision: revision });
}
