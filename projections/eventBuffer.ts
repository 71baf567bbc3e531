import type { RecordedEvent } from '../domain/envelope.ts';

/** Events that were read and wait for the write under way; bounded, so that a slow database holds up the reader. */
export interface EventBuffer {
  /** Resolves when there is room for more. */
  put(events: readonly RecordedEvent[]): Promise<void>;
  /** The oldest events, as many as one batch may hold, at least one if there is any; none when it is empty. */
  take(): RecordedEvent[];
  /** Resolves when there is something to take, or somebody knocked. */
  filled(): Promise<void>;
  /** Ends everybody's waiting. */
  knock(): void;
}

export interface BufferLimits {
  readonly maxEvents: number;
  /** Characters of long texts, about. */
  readonly maxChars: number;
}

/** @param limits of a batch; twice as much is kept. */
export function createEventBuffer(limits: BufferLimits): EventBuffer {
  let queue: { event: RecordedEvent; chars: number }[] = [];
  let chars = 0;
  let waiters: (() => void)[] = [];
  function knock(): void {
    const woken = waiters;
    waiters = [];
    for (const wake of woken) wake();
  }
  function waiting(): Promise<void> {
    return new Promise((resolve) => waiters.push(resolve));
  }
  return {
    knock,
    async put(events) {
      for (const event of events) {
        const length = charsOf(event);
        queue.push({ event, chars: length });
        chars += length;
      }
      knock();
      if (queue.length > limits.maxEvents || chars > limits.maxChars) await waiting();
    },
    take() {
      let count = 0;
      let taken = 0;
      for (const each of queue) {
        if (count > 0 && (count >= limits.maxEvents || taken + each.chars > limits.maxChars)) break;
        count += 1;
        taken += each.chars;
      }
      const batch = queue.slice(0, count);
      queue = queue.slice(count);
      chars -= taken;
      if (queue.length <= limits.maxEvents && chars <= limits.maxChars) knock();
      return batch.map((each) => each.event);
    },
    async filled() {
      if (queue.length === 0) await waiting();
    },
  };
}

/** Characters of the texts up to three levels down: enough to tell a batch of essays from one of claims. */
export function charsOf(event: RecordedEvent): number {
  return charsIn(event.data, 3);
}

function charsIn(value: unknown, depth: number): number {
  if (typeof value === 'string') return value.length;
  if (depth === 0 || typeof value !== 'object' || value === null) return 0;
  let sum = 0;
  for (const each of Object.values(value)) sum += charsIn(each, depth - 1);
  return sum;
}
