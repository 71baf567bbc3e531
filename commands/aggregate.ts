import { AGENT_FOLD, evolveAgent, type Agent } from '../domain/agent/agent.ts';
import type { AgentEvent } from '../domain/agent/events.ts';
import type { DiscussionEvent, DiscussionEventData } from '../domain/discussion/events.ts';
import { evolveDiscussion, type Place } from '../domain/discussion/evolve.ts';
import { DISCUSSION_FOLD, type Discussion } from '../domain/discussion/state.ts';
import type { RecordedEvent } from '../domain/envelope.ts';
import type { EventStore } from '../domain/ports.ts';
import { inheritedState } from './inheritedState.ts';

/** How a kind of stream is folded. */
export interface Aggregate<S, E extends { type: string; data: unknown }> {
  /** The streams' prefix. */
  readonly kind: string;
  readonly initial: S;
  /** Version of the fold: snapshots of another one do not count. */
  readonly fold: number;
  evolve(state: S, event: E, place: Place): S;
  /** The state that a stream's first event continues, read elsewhere in the log; null for one that begins from nothing. */
  begun?(store: EventStore, first: RecordedEvent): Promise<S> | null;
  /** Whether the state has a beginning that `begun` reads. */
  beginsElsewhere?(state: S): boolean;
  /** The project that the stream belongs to; null before its first event. */
  projectOf(state: S): string | null;
}

export const discussions: Aggregate<Discussion, DiscussionEvent> = {
  kind: 'discussion',
  initial: { status: 'none' },
  fold: DISCUSSION_FOLD,
  evolve: evolveDiscussion,
  begun: (store, first) =>
    first.type === 'DiscussionForked'
      ? inheritedState(store, first.data as DiscussionEventData<'DiscussionForked'>)
      : null,
  beginsElsewhere: (state) => state.status !== 'none' && state.forkedFrom !== null,
  projectOf: (state) => (state.status === 'none' ? null : state.projectId),
};

export const agents: Aggregate<Agent, AgentEvent> = {
  kind: 'agent',
  initial: { status: 'none' },
  fold: AGENT_FOLD,
  evolve: evolveAgent,
  projectOf: (state) => (state.status === 'none' ? null : state.projectId),
};
