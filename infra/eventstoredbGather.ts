/** Takes events out of a call of EventStoreDB's client, which neither ends nor times out by itself when it is left. */
import type { Readable } from 'node:stream';
import type { ResolvedEvent } from '@eventstore/db-client';
import { bounded, TimeUp } from './eventstoredbConnection.ts';
import { unavailable } from './eventstoredbFault.ts';

/** The client waits for a connection before it cancels. */
const LEAVE_MS = 1_000;

/** A read of the client, or a subscription. */
export type ClientStream = Readable & ({ cancel(): Promise<void> } | { unsubscribe(): Promise<void> });

export interface Gathering {
  /** Longest silence. */
  readonly quietMs: number;
  /** Ends the call with its reason. */
  readonly closed: AbortSignal;
  /** Takes the next event; false when it was the last that is wanted. */
  readonly take: (event: ResolvedEvent) => boolean;
}

/**
 * Resolves when `take` has enough, the read has ended or the subscription has caught up; then the call is over.
 * `open` is given what tells of progress without an event.
 * @throws what the client rejects with, and `TimeUp`.
 */
export async function gather(
  open: (alive: () => void) => ClientStream,
  { quietMs, closed, take }: Gathering,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let over = false;
  const alive = (): void => void timer?.refresh();
  const stream = open(alive);
  let ended = false;
  let close = (): void => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new TimeUp(quietMs)), quietMs);
      close = () => reject(unavailable('the log is closed'));
      closed.addEventListener('abort', close);
      if (closed.aborted) close();
      // It is told while events before it still wait to be read.
      const whenRead = (): void => void (stream.readableLength === 0 ? resolve() : setImmediate(whenRead));
      stream.on('error', reject);
      stream.on('data', (event: ResolvedEvent) => {
        alive();
        try {
          if (over || take(event)) return;
          resolve();
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
        over = true;
      });
      stream.on('confirmation', alive);
      stream.on('caughtUp', () => void setImmediate(whenRead));
      stream.on('end', () => {
        ended = true;
        resolve();
      });
    });
  } finally {
    over = true;
    clearTimeout(timer);
    closed.removeEventListener('abort', close);
    if (!ended) await leave(stream);
  }
}

/** Ends the call, which nothing else does; what comes after is not heard. Never rejects. */
export async function leave(stream: ClientStream): Promise<void> {
  stream.on('error', () => undefined);
  const left = 'cancel' in stream ? stream.cancel() : stream.unsubscribe();
  await bounded(left, LEAVE_MS).catch(() => undefined);
}
