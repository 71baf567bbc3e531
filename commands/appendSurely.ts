import type { NewEvent } from '../domain/envelope.ts';
import type { Appended, EventStore } from '../domain/ports.ts';
import { Refusal, UnknownOutcome } from '../domain/refusal.ts';

const MAX_UNKNOWN = 3;

/**
 * An unknown outcome is asked again with the identical batch: the log answers with what happened the first time.
 * @throws Refusal `unavailable` after three, WrongExpectedRevision.
 */
export async function appendSurely(
  store: EventStore,
  stream: string,
  events: readonly NewEvent[],
  expected: number,
): Promise<Appended> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await store.append(stream, events, expected);
    } catch (error) {
      // What was unknown stays so when the log cannot even be reached the next time.
      const away = tries > 1 && error instanceof Refusal && error.code === 'unavailable';
      if (!(error instanceof UnknownOutcome) && !away) throw error;
      if (tries >= MAX_UNKNOWN)
        throw new Refusal('unavailable', 'the log did not answer: repeat the request with the same Idempotency-Key', {
          retryAfterMs: 2000,
          cause: error,
        });
    }
  }
}

/**
 * Whether the log answered for another request's events: two processes that were given one Idempotency-Key at the same
 * moment make batches of the same ids, and the log takes the second for a repetition of the first, though time, random
 * values and even the body may differ.
 */
export async function takenForARepetition(
  store: EventStore,
  stream: string,
  events: readonly NewEvent[],
  expected: number,
): Promise<boolean> {
  const own = events[0]?.metadata;
  for await (const { metadata } of store.read(stream, { from: expected + 1, limit: 1 }))
    return (
      metadata.requestId !== own?.requestId ||
      metadata.bodySha256 !== own?.bodySha256 ||
      metadata.occurredAt !== own?.occurredAt
    );
  return false;
}
