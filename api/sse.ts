/** Server-sent events (WHATWG HTML, 9.2) on one response: frames, heartbeat, back-pressure. */
import type { Response } from 'express';
import type { Clock } from '../domain/ports.ts';

export interface SseConnection {
  /** Aborts when the client has gone or `close` was called. */
  readonly signal: AbortSignal;
  /** Whether the client takes what it is sent: false while more than 256 KiB wait for it. */
  readonly roomy: boolean;
  send(frame: string): void;
  /** Resolves when there is room again or the connection is over. */
  room(): Promise<void>;
  /** Sends a last frame and ends the response. */
  close(lastFrame?: string): void;
}

/** What may wait for a client. */
const BUFFER_BYTES = 256 * 1024;
const HEARTBEAT_MS = 15_000;
/** A client that takes nothing for this long is cut off: it comes back with its Last-Event-ID. */
const STALLED_MS = 20_000;
/** How soon a client should come back. */
const RETRY_MS = 2_000;

/** Begins the stream: headers, `retry`, heartbeats until it ends. */
export function openSse(res: Response, clock: Clock, onStalled: () => void): SseConnection {
  const over = new AbortController();
  res.writeHead(200, {
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-cache, no-transform',
    'X-Accel-Buffering': 'no',
  });
  res.write(`retry: ${RETRY_MS}\n\n`);
  let stalledSinceMs: number | null = null;
  const whenRoom: (() => void)[] = [];
  const tellRoom = () => {
    for (const resolve of whenRoom.splice(0)) resolve();
  };
  res.once('close', () => {
    over.abort();
    tellRoom();
  });
  // Slow is not stalled: between two looks of the watch a client may have emptied its buffer and have it full again.
  res.on('drain', () => {
    stalledSinceMs = null;
    tellRoom();
  });
  const watch = async () => {
    let sinceHeartbeatMs = 0;
    while (!over.signal.aborted) {
      await clock.sleep(STALLED_MS / 4, over.signal);
      sinceHeartbeatMs += STALLED_MS / 4;
      if (!res.writableNeedDrain) stalledSinceMs = null;
      else stalledSinceMs ??= clock.monotonic();
      if (stalledSinceMs !== null && clock.monotonic() - stalledSinceMs >= STALLED_MS) {
        onStalled();
        res.destroy();
      } else if (sinceHeartbeatMs >= HEARTBEAT_MS && !over.signal.aborted) {
        sinceHeartbeatMs = 0;
        res.write(': alive\n\n');
      }
    }
  };
  void watch();
  return {
    signal: over.signal,
    get roomy() {
      return res.writableLength < BUFFER_BYTES;
    },
    send(frame) {
      if (!over.signal.aborted) res.write(frame);
    },
    async room() {
      while (!over.signal.aborted && res.writableLength >= BUFFER_BYTES)
        await new Promise<void>((resolve) => whenRoom.push(resolve));
    },
    close(lastFrame) {
      if (over.signal.aborted) return;
      over.abort();
      tellRoom();
      res.end(lastFrame ?? '');
    },
  };
}

/** One frame. `id` only for what is durable: a client comes back with the last one it saw. */
export function sseFrame(event: string, data: unknown, id?: string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
