import { discussions } from '../commands/aggregate.ts';
import { load, refresh } from '../commands/states.ts';
import type { DiscussionEvent } from '../domain/discussion/events.ts';
import { streamId, type RecordedEvent } from '../domain/envelope.ts';
import type { WorkerContext } from './worker.ts';

/**
 * Follows the log from its head: a turn that has become claimable becomes a wake-up. What happened before it started is
 * the sweeper's to find.
 * @param after position from which on the log is followed.
 */
export async function runRelay(ctx: WorkerContext, after: bigint, signal: AbortSignal): Promise<void> {
  for await (const slice of ctx.engine.store.subscribe(after, { signal }))
    for (const event of slice.events) {
      if (!event.stream.startsWith('discussion-')) continue;
      // One event that could not be relayed must not end the relay: the sweeper finds what it would have woken.
      await relay(ctx, event as DiscussionEvent & RecordedEvent).catch((error: unknown) =>
        ctx.log.warn({ err: error, stream: event.stream }, 'an event could not be relayed'),
      );
    }
}

async function relay(ctx: WorkerContext, event: DiscussionEvent & RecordedEvent): Promise<void> {
  const discussionId = streamId(event.stream);
  const { project, traceparent } = event.metadata;
  const traced = traceparent === undefined ? {} : { traceparent };
  const wakeUp = { kind: 'turn' as const, project, discussionId, revision: event.revision, ...traced };
  switch (event.type) {
    case 'TurnRequested':
      if (event.data.answeredBy === 'model') await ctx.bus.wake({ ...wakeUp, turnId: event.data.turnId });
      return;
    case 'DiscussionResumed': {
      // A turn that was open before the pause is not requested again: it only becomes claimable.
      const stream = event.stream;
      let { state, revision } = await load(ctx.engine, discussions, stream);
      if (revision < event.revision) ({ state, revision } = await refresh(ctx.engine, discussions, stream));
      if (state.status === 'open' && state.turn?.answeredBy === 'model')
        await ctx.bus.wake({ ...wakeUp, turnId: state.turn.turnId });
      return;
    }
    case 'TurnAttemptAbandoned':
      // Released, or lost: whoever is free goes on at once. Pauses after a failure are waited for by its own worker.
      if (event.data.retryAfterMs === 0) await ctx.bus.wake({ ...wakeUp, turnId: event.data.turnId });
      return;
    default:
  }
}
