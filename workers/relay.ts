import { discussions } from '../commands/aggregate.ts';
import type { Engine } from '../commands/engine.ts';
import { load, refresh } from '../commands/states.ts';
import type { DiscussionEvent } from '../domain/discussion/events.ts';
import { streamId, type RecordedEvent } from '../domain/envelope.ts';
import type { Bus, WakeUp } from '../domain/ports.ts';
import type { WorkerContext } from './worker.ts';

export interface RelayContext extends Pick<WorkerContext, 'log'> {
  readonly engine: Pick<Engine, 'store' | 'snapshots' | 'states' | 'clock'>;
  readonly bus: Pick<Bus, 'wake'>;
}

/** How long a worker may take to claim the turn that its own answer led to, before others are told of it. */
const HAND_OVER_MS = 500;

/**
 * Follows the log from its head: a turn that has become claimable becomes a wake-up, unless the worker whose answer led to
 * it goes on with it. What happened before it started is the sweeper's to find.
 * @param after position from which on the log is followed.
 */
export async function runRelay(ctx: RelayContext, after: bigint, signal: AbortSignal): Promise<void> {
  const handedOver = createHandedOver(ctx, signal);
  for await (const slice of ctx.engine.store.subscribe(after, { signal }))
    for (const event of slice.events) {
      if (!event.stream.startsWith('discussion-')) continue;
      // One event that could not be relayed must not end the relay: the sweeper finds what it would have woken.
      await relay(ctx, handedOver, event as DiscussionEvent & RecordedEvent).catch((error: unknown) =>
        ctx.log.warn({ err: error, stream: event.stream }, 'an event could not be relayed'),
      );
    }
}

/** Turns whose worker is expected to go on with them. */
interface HandedOver {
  /** An answer stands in the log: what the same command requests is its worker's. */
  answered(commandId: string): void;
  /** Wakes others later, if nobody has claimed it until then. @returns false for a turn that is nobody's. */
  keep(commandId: string, wakeUp: WakeUp): boolean;
  claimed(turnId: string): void;
}

function createHandedOver(ctx: RelayContext, signal: AbortSignal): HandedOver {
  const waiting = new Set<string>();
  let answeredBy: string | null = null;
  const wakeLater = async (wakeUp: WakeUp) => {
    await ctx.engine.clock.sleep(HAND_OVER_MS, signal);
    if (waiting.delete(wakeUp.turnId) && !signal.aborted) await ctx.bus.wake(wakeUp);
  };
  return {
    answered: (commandId) => void (answeredBy = commandId),
    keep(commandId, wakeUp) {
      if (commandId !== answeredBy) return false;
      waiting.add(wakeUp.turnId);
      wakeLater(wakeUp).catch((error: unknown) => ctx.log.warn({ err: error }, 'a wake-up was lost'));
      return true;
    },
    claimed: (turnId) => void waiting.delete(turnId),
  };
}

async function relay(ctx: RelayContext, handedOver: HandedOver, event: DiscussionEvent & RecordedEvent): Promise<void> {
  const discussionId = streamId(event.stream);
  const { actor, project, traceparent, commandId } = event.metadata;
  const traced = traceparent === undefined ? {} : { traceparent };
  const wakeUp = { kind: 'turn' as const, project, discussionId, revision: event.revision, ...traced };
  switch (event.type) {
    case 'TurnCompleted':
      // A person's answer leads to a turn that is nobody's yet.
      if (actor.kind === 'worker') handedOver.answered(commandId);
      return;
    case 'TurnClaimed':
      handedOver.claimed(event.data.turnId);
      return;
    case 'TurnRequested': {
      if (event.data.answeredBy !== 'model') return;
      const wanted = { ...wakeUp, turnId: event.data.turnId };
      if (!handedOver.keep(commandId, wanted)) await ctx.bus.wake(wanted);
      return;
    }
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
