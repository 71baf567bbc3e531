/** One viewer of a project's events: replay from the log, splice, then live, each event once and in order. */
import type { RecordedEvent } from '../domain/envelope.ts';
import type { EventStore } from '../domain/ports.ts';
import type { Feed } from './feed.ts';
import { sseFrame, type SseConnection } from './sse.ts';

interface FollowProject {
  readonly store: EventStore;
  readonly feed: Feed;
  readonly connection: SseConnection;
  readonly project: string;
  /** Position of the last event the client has. */
  readonly after: bigint;
  readonly frame: (event: RecordedEvent) => string;
}

/** As `followDiscussion`, by position: positions only order, so what was seen is told by comparing. */
export async function followProject(follow: FollowProject): Promise<void> {
  const { connection, feed, project, frame } = follow;
  const at = { sent: follow.after, seen: follow.after, live: false, wake: () => {} };
  const leave = feed.watchProject(project, (event) => {
    if (event.position > at.seen) at.seen = event.position;
    if (event.position <= at.sent) return;
    if (at.live && connection.roomy) {
      connection.send(frame(event));
      at.sent = event.position;
      return;
    }
    at.live = false;
    at.wake();
  });
  connection.signal.addEventListener('abort', () => at.wake(), { once: true });
  try {
    for (let first = true; !connection.signal.aborted; first = false) {
      at.sent = await replay(follow, at.sent);
      if (first) connection.send(sseFrame('caught-up', { position: at.sent.toString() }));
      if (at.seen > at.sent) continue;
      // The client may have gone during the reads: nobody would wake us then.
      if (connection.signal.aborted) break;
      at.live = true;
      await new Promise<void>((resolve) => (at.wake = resolve));
      at.live = false;
      await connection.room();
    }
  } finally {
    leave();
  }
}

async function replay({ store, connection, project, frame }: FollowProject, after: bigint): Promise<bigint> {
  let sent = after;
  for await (const event of store.readAll(after)) {
    sent = event.position;
    if (event.metadata.project !== project) continue;
    await connection.room();
    if (connection.signal.aborted) return sent;
    connection.send(frame(event));
  }
  return sent;
}
