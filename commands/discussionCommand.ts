import { decideDiscussion } from '../domain/discussion/decide.ts';
import type { DiscussionCommand } from '../domain/discussion/commands.ts';
import type { DiscussionEvent } from '../domain/discussion/events.ts';
import type { Discussion, ExistingDiscussion } from '../domain/discussion/state.ts';
import type { Action } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';
import { discussions } from './aggregate.ts';
import { dispatch, type Asked, type Outcome } from './dispatch.ts';
import type { Engine } from './engine.ts';

/** What a command on a discussion came to. */
export type DiscussionOutcome = Outcome<Discussion, DiscussionEvent>;

/** Asks an existing discussion; see `dispatch` for what it throws. */
export function onDiscussion(
  engine: Engine,
  id: string,
  command: DiscussionCommand,
  asked: Asked,
  options: { action?: Action; onlyAtRevision?: number } = {},
): Promise<DiscussionOutcome> {
  const { action = 'write', ...rest } = options;
  return dispatch(
    engine,
    discussions,
    { id, action, ...rest, decide: (state, ctx) => decideDiscussion(state, command, ctx) },
    asked,
  );
}

/** The state of an outcome. @throws Refusal `not-found` for a stream without events. */
export function existing(state: Discussion): ExistingDiscussion {
  if (state.status === 'none') throw new Refusal('not-found', 'there is no such discussion');
  return state;
}

/** The turn that is open, as answers show it. */
export function currentTurn(state: Discussion): { turnId: string; number: number; participantId: string } | null {
  if (state.status === 'none' || state.turn === null) return null;
  const { turnId, number, participantId } = state.turn;
  return { turnId, number, participantId };
}
