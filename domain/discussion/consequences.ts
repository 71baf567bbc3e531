import type { Deciding } from './decide.ts';
import type { DiscussionEvent } from './events.ts';
import { limitReached } from './limits.ts';
import { chooseSpeaker } from './policies.ts';
import { evolveDiscussion } from './evolve.ts';
import { present, type Discussion, type ExistingDiscussion } from './state.ts';
import { requestFor } from './turns.ts';

/** Failed turns in a row after which a discussion waits for a person. */
const MAX_FAILED_TURNS = 3;

/**
 * A command's events with what follows from them, to be appended as one batch: the next turn, a pause or the end. So no
 * crash can lose the next turn, and nobody has to moderate.
 */
export function consequences(before: Discussion, events: readonly DiscussionEvent[], ctx: Deciding): DiscussionEvent[] {
  let state = before;
  for (const [i, event] of events.entries())
    state = evolveDiscussion(state, event, { revision: ctx.revision + 1 + i, atMs: ctx.nowMs });
  const next = state.status === 'open' && state.turn === null ? followUp(state, ctx) : null;
  return next === null ? [...events] : [...events, next];
}

function followUp(state: ExistingDiscussion, ctx: Deciding): DiscussionEvent | null {
  const end = limitReached(state, ctx.nowMs);
  if (end !== null) return end;
  if (state.failuresInRow >= MAX_FAILED_TURNS) return { type: 'DiscussionPaused', data: { reason: 'failures' } };
  if (state.skipsInRow >= Math.max(MAX_FAILED_TURNS, present(state).length))
    return { type: 'DiscussionPaused', data: { reason: 'nobody-answers' } };
  const choice = chooseSpeaker(state);
  return choice === null ? null : requestFor(state, choice.participantId, choice.why, ctx);
}
