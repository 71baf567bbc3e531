import type { Telemetry } from '../domain/telemetry.ts';
import { sseFrame, type SseConnection } from './sse.ts';

/** The streams this process serves, so that a drain can tell them to reconnect elsewhere. */
export interface OpenStreams {
  add(connection: SseConnection): void;
  /** Tells every client to come back, and ends its stream. */
  end(): Promise<void>;
}

/** @param telemetry told how many there are. */
export function createOpenStreams(telemetry: Telemetry): OpenStreams {
  const open = new Set<SseConnection>();
  return {
    add(connection) {
      open.add(connection);
      telemetry.set('sse_clients', open.size);
      connection.signal.addEventListener('abort', () => {
        open.delete(connection);
        telemetry.set('sse_clients', open.size);
      });
    },
    async end() {
      for (const connection of [...open]) connection.close(sseFrame('reconnect', { reason: 'stopping' }));
    },
  };
}
