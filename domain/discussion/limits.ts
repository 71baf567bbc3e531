import { textOf, type Content } from '../content.ts';
import type { DiscussionEvent } from './events.ts';
import type { ExistingDiscussion } from './state.ts';

/** The end that a limit asks for, null while none is reached. */
export function limitReached(state: ExistingDiscussion, nowMs: number): DiscussionEvent | null {
  const { limits } = state;
  if (state.turnsCompleted >= limits.maxTurns) return { type: 'DiscussionConcluded', data: { reason: 'max-turns' } };
  if (state.tokensUsed >= limits.maxTokens) return { type: 'DiscussionConcluded', data: { reason: 'max-tokens' } };
  if (deadlinePassed(state, nowMs)) return { type: 'DiscussionConcluded', data: { reason: 'deadline' } };
  return null;
}

/** Whether the wall-clock limit has passed. */
export function deadlinePassed(state: ExistingDiscussion, nowMs: number): boolean {
  return state.limits.deadline !== null && nowMs >= Date.parse(state.limits.deadline);
}

/** The end of a discussion in which a stop phrase was said, in whatever case; empty when none was. */
export function stopPhraseEnd(state: ExistingDiscussion, content: Content): DiscussionEvent[] {
  const text = textOf(content).toLowerCase();
  const phrase = state.limits.stopPhrases.find((each) => text.includes(each.toLowerCase()));
  return phrase === undefined ? [] : [{ type: 'DiscussionConcluded', data: { reason: 'stop-phrase', detail: phrase } }];
}
