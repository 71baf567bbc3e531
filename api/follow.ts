/** One viewer of one discussion: replay from the log, splice, then live, each event once and in order. */
import type { EventStore } from '../domain/ports.ts';
import type { Telemetry } from '../domain/telemetry.ts';
import { eventFrame, type Feed, type FeedItem } from './feed.ts';
import { sseFrame, type SseConnection } from './sse.ts';

interface Follow {
  readonly store: EventStore;
  readonly feed: Feed;
  readonly telemetry: Telemetry;
  readonly connection: SseConnection;
  readonly discussion: { readonly id: string; readonly project: string };
  /** Revision of the last event the client has; −1 for none. */
  readonly after: number;
}

/**
 * Subscribes first, then reads: an event is either in what is read or comes live, and its revision says which was sent
 * already. A live event that does not follow the last one sent, or that meets a client without room, makes the viewer
 * read from the log again, so nothing needs to be queued for it.
 * @returns when the discussion has ended or the client has gone.
 */
export async function followDiscussion(follow: Follow): Promise<void> {
  const { connection, feed, discussion, telemetry } = follow;
  const at = { sent: follow.after, seen: follow.after, live: false, done: false, wake: () => {} };
  const onItem = (item: FeedItem) => {
    if (item.kind === 'delta') {
      if (at.live && connection.roomy) connection.send(item.frame);
      else telemetry.count('sse_dropped_total', { what: 'delta' });
      return;
    }
    const { revision } = item.event;
    at.seen = Math.max(at.seen, revision);
    if (at.live && connection.roomy && revision === at.sent + 1) {
      connection.send(item.frame);
      at.sent = revision;
      at.done = item.ended;
    } else if (revision > at.sent) at.live = false;
    if (!at.live || at.done) at.wake();
  };
  const leave = feed.watch(discussion, onItem);
  connection.signal.addEventListener('abort', () => at.wake(), { once: true });
  try {
    for (let first = true; !connection.signal.aborted && !at.done;) {
      at.sent = await replay(follow, at.sent);
      const end = await feed.end(discussion.id);
      if (first) connection.send(sseFrame('caught-up', { revision: at.sent }));
      first = false;
      if (end !== null && at.sent >= end) break;
      // From here to the wait nothing is awaited: what is announced meanwhile is either seen here or comes live.
      if (at.seen > at.sent) continue;
      // The client may have gone during the reads: nobody would wake us then.
      if (connection.signal.aborted) break;
      at.live = true;
      const writing = feed.underWay(discussion.id);
      if (writing !== null) connection.send(writing);
      await new Promise<void>((resolve) => (at.wake = resolve));
      at.live = false;
      await connection.room();
    }
    connection.close(sseFrame('end', { revision: at.sent }));
  } finally {
    leave();
  }
}

async function replay({ store, connection, discussion }: Follow, after: number): Promise<number> {
  let sent = after;
  for await (const event of store.read(`discussion-${discussion.id}`, { from: after + 1 })) {
    await connection.room();
    if (connection.signal.aborted) return sent;
    connection.send(eventFrame(event));
    sent = event.revision;
  }
  return sent;
}
