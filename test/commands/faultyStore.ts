/** A log between the engine and the real one, whose appends go wrong as told and whose reads are counted. */
import { UnknownOutcome } from '../../domain/refusal.ts';
import type { EventStore } from '../../domain/ports.ts';

/** What happens to an append: its answer is lost, it never arrives, or something comes first. */
export type Fault = 'commits-then-throws' | 'throws-before' | (() => Promise<unknown>);

export interface FaultyStore extends EventStore {
  /** For the next appends, in order. */
  readonly faults: Fault[];
  appends: number;
  /** Events that were read. */
  eventsRead: number;
}

/** @param store gets what is not faulty. */
export function createFaultyStore(store: EventStore): FaultyStore {
  const faulty: FaultyStore = {
    ...store,
    faults: [],
    appends: 0,
    eventsRead: 0,
    async append(stream, events, expected) {
      faulty.appends += 1;
      const fault = faulty.faults.shift();
      if (fault === 'throws-before') throw new UnknownOutcome('the connection broke');
      if (typeof fault === 'function') await fault();
      const appended = await store.append(stream, events, expected);
      if (fault === 'commits-then-throws') throw new UnknownOutcome('the answer was lost');
      return appended;
    },
    async *read(stream, options) {
      for await (const event of store.read(stream, options)) {
        faulty.eventsRead += 1;
        yield event;
      }
    },
  };
  return faulty;
}
