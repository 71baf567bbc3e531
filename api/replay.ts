/** One viewer of a discussion's past: its recorded events with the pauses between them. No model is asked. */
import { readParts } from '../commands/lineage.ts';
import { createReplay, stateHash } from '../domain/discussion/replay.ts';
import type { Clock, EventStore } from '../domain/ports.ts';
import { eventFrame } from './feed.ts';
import { sseFrame, type SseConnection } from './sse.ts';
import type { Moment } from './timeTravel.ts';

interface Play {
  readonly store: EventStore;
  readonly clock: Clock;
  readonly connection: SseConnection;
  /** Where it ends. */
  readonly moment: Moment;
  /** The first revision that is shown. */
  readonly from: number;
  /** 1 as it happened, 10 for ten times as fast; 0 waits for nothing. */
  readonly speed: number;
}

/** Nobody watches a pause longer than this, at whatever speed. */
const MAX_PAUSE_MS = 5_000;

/**
 * Sends the events of the discussion's own stream from `from` to the moment, then `end` {revision, events, stateHash} with
 * the hash of the state folded on the way, the ancestors' events included.
 * @returns when all was sent or the client has gone.
 */
export async function playReplay({ store, clock, connection, moment, from, speed }: Play): Promise<void> {
  const replay = createReplay();
  const stream = `discussion-${moment.discussionId}`;
  let shownAtMs: number | null = null;
  let events = 0;
  for await (const { event, index } of readParts(store, moment.parts)) {
    if (connection.signal.aborted) return;
    replay.next(event, index);
    if (event.stream !== stream || event.revision < from) continue;
    const atMs = Date.parse(event.metadata.occurredAt);
    const pauseMs = speed === 0 || shownAtMs === null ? 0 : Math.min(MAX_PAUSE_MS, (atMs - shownAtMs) / speed);
    if (pauseMs > 0) await clock.sleep(pauseMs, connection.signal);
    shownAtMs = atMs;
    await connection.room();
    connection.send(eventFrame(event));
    events += 1;
  }
  connection.close(sseFrame('end', { revision: moment.revision, events, stateHash: stateHash(replay.state) }));
}
