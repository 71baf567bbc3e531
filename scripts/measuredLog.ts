/** The log as before, and its times told to telemetry. */
import type { Appended, Clock, EventStore, Slice } from '../domain/ports.ts';
import { UnknownOutcome, WrongExpectedRevision } from '../domain/refusal.ts';
import type { Telemetry } from '../domain/telemetry.ts';

/** Times every append as `eventlog_append_duration_seconds{outcome}`: ok, conflict, refused or unknown. */
export function measureAppends<S extends EventStore>(store: S, telemetry: Telemetry, clock: Clock): S {
  const append: EventStore['append'] = async (...given): Promise<Appended> => {
    const startedMs = clock.monotonic();
    const ended = (outcome: string): void =>
      telemetry.observe('eventlog_append_duration_seconds', (clock.monotonic() - startedMs) / 1000, { outcome });
    try {
      const appended = await store.append(...given);
      ended('ok');
      return appended;
    } catch (error) {
      ended(outcomeOf(error));
      throw error;
    }
  };
  return { ...store, append };
}

function outcomeOf(error: unknown): string {
  if (error instanceof WrongExpectedRevision) return 'conflict';
  return error instanceof UnknownOutcome ? 'unknown' : 'refused';
}

/**
 * Tells how old the last event of each slice was when it came, as `subscription_last_event_age_seconds{subscription}`:
 * a subscription that has fallen behind shows old ones.
 * @param alsoSeen who else is told of each slice.
 */
export function measureSubscriptions(
  store: EventStore,
  subscription: string,
  telemetry: Telemetry,
  clock: Clock,
  alsoSeen: (slice: Slice) => void = () => undefined,
): EventStore {
  const seen = (slice: Slice): Slice => {
    alsoSeen(slice);
    const last = slice.events.at(-1);
    if (last !== undefined) {
      const ageMs = Math.max(0, clock.now() - Date.parse(last.metadata.occurredAt));
      telemetry.set('subscription_last_event_age_seconds', ageMs / 1000, { subscription });
    }
    return slice;
  };
  return { ...store, subscribe: (after, options) => mapped(store.subscribe(after, options), seen) };
}

/** No generator: it would see its `return` only after the next slice has come. */
function mapped(slices: AsyncIterable<Slice>, seen: (slice: Slice) => Slice): AsyncIterable<Slice> {
  return {
    [Symbol.asyncIterator]() {
      const inner = slices[Symbol.asyncIterator]();
      return {
        async next() {
          const result = await inner.next();
          return result.done ? result : { done: false, value: seen(result.value) };
        },
        return: async () => (await inner.return?.()) ?? { done: true, value: undefined },
      };
    },
  };
}
