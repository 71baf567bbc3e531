import type { RecordedEvent } from '../../domain/envelope.ts';
import type { Page } from './source.ts';

/** Where a version stands. */
export interface Place {
  readonly version: number;
  readonly position: bigint;
}

/** What a version was found to hold, by table. */
export interface Verified {
  readonly table: string;
  readonly rows: number;
  readonly checksum: string;
}

export interface Swapped {
  /** The version that was live before; null when there was none. */
  readonly previous: number | null;
  readonly position: bigint;
}

/**
 * A version of a projection that is built beside the live one, whatever its store. Everything rejects with `Refusal`
 * (`conflict`) when somebody else has taken over.
 */
export interface BuildTarget {
  /** Of the projection. */
  readonly name: string;
  /** Looks where the version stands; also after a failure, to go on from what is stored. */
  open(): Promise<Place>;
  /**
   * Applies the events behind the place, and moves it to the end of the page, together. Resolves when they are folded: the
   * write of the page before is then done. Rejects with `Poison` for an event that cannot be applied.
   * @param careful expects rows that should not be there.
   */
  apply(page: Page, careful: boolean): Promise<void>;
  /** Resolves when what was applied is stored. */
  flush(): Promise<void>;
  /** What is made once all is loaded: indexes, statistics. */
  complete(): Promise<void>;
  /**
   * Compares what is stored with a fold of the log. Rejects when they differ.
   * @param events how many there are, about. `onPage` is told how many were folded.
   */
  verify(onPage: (events: number) => Promise<void>, events: number): Promise<Verified[]>;
  /** Applies what the live version has and this one has not, and makes this the live one; null when that is too much yet. */
  swap(): Promise<Swapped | null>;
  /** From now on the event counts as one that cannot be applied: the store refused what it made. */
  refuse(eventId: string, error: string): void;
  /** Whether the live version could not apply the event either: then its stream is parked here, too. Null when it is not that far. */
  mayFail(event: RecordedEvent): Promise<boolean | null>;
}
