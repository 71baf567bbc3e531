import { AGENT_FOLD, evolveAgent, type Agent } from '../domain/agent/agent.ts';
import type { AgentEvent } from '../domain/agent/events.ts';
import type { DiscussionEvent } from '../domain/discussion/events.ts';
import { evolveDiscussion, type Place } from '../domain/discussion/evolve.ts';
import { DISCUSSION_FOLD, type Discussion } from '../domain/discussion/state.ts';

/** How a kind of stream is folded. */
export interface Aggregate<S, E extends { type: string; data: unknown }> {
  /** The streams' prefix. */
  readonly kind: string;
  readonly initial: S;
  /** Version of the fold: snapshots of another one do not count. */
  readonly fold: number;
  evolve(state: S, event: E, place: Place): S;
  /** The project that the stream belongs to; null before its first event. */
  projectOf(state: S): string | null;
}

export const discussions: Aggregate<Discussion, DiscussionEvent> = {
  kind: 'discussion',
  initial: { status: 'none' },
  fold: DISCUSSION_FOLD,
  evolve: evolveDiscussion,
  projectOf: (state) => (state.status === 'none' ? null : state.projectId),
};

export const agents: Aggregate<Agent, AgentEvent> = {
  kind: 'agent',
  initial: { status: 'none' },
  fold: AGENT_FOLD,
  evolve: evolveAgent,
  projectOf: (state) => (state.status === 'none' ? null : state.projectId),
};
