import type { DiscussionEvent } from '../domain/discussion/events.ts';
import type { RecordedEvent } from '../domain/envelope.ts';
import type { Pool } from './pool.ts';
import type { Transcripts } from './transcripts.ts';
import type { WorkerContext } from './worker.ts';

/**
 * Follows the log for the attempts of this process: an attempt whose turn has ended, or that somebody took over, is
 * stopped, what others claim is not picked, and the transcripts learn what was said.
 * @param after position from which on the log is new to this process.
 */
export async function followOwnAttempts(
  ctx: WorkerContext,
  pool: Pool,
  transcripts: Transcripts,
  after: bigint,
  signal: AbortSignal,
): Promise<void> {
  for await (const slice of ctx.engine.store.subscribe(after, { signal }))
    for (const event of slice.events) {
      transcripts.observe(event);
      if (event.stream.startsWith('discussion-')) take(pool, event as DiscussionEvent & RecordedEvent);
    }
}

function take(pool: Pool, event: DiscussionEvent & RecordedEvent): void {
  // A fork cancels its own copy of the turn: in the parent the turn goes on.
  if (event.type === 'TurnCancelled' && event.data.reason === 'forked') return;
  switch (event.type) {
    case 'TurnClaimed':
      pool.claimed(event.data.turnId, event.data.attempt);
      return;
    case 'TurnCancelled':
    case 'TurnFailed':
    case 'TurnSkipped':
      pool.stop(event.data.turnId, 'cancelled');
      return;
    case 'TurnAttemptAbandoned':
      // Somebody took this attempt over while it still runs here.
      if (pool.running.get(event.data.turnId)?.attempt === event.data.attempt)
        pool.stop(event.data.turnId, 'cancelled');
      return;
    default:
  }
}
