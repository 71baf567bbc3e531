/** Events of the domain for suites of the log. */
import { randomUUID } from 'node:crypto';
import { createCodec } from '../../domain/codec.ts';
import type { NewEvent, RecordedEvent } from '../../domain/envelope.ts';
import type { EventStore, Slice } from '../../domain/ports.ts';

/** A codec whose seal is the identity. */
export const plainCodec = createCodec({
  seal: async (texts) => texts.map(({ text }) => text),
  open: async (texts) => texts.map(({ text }) => text),
});

/** A name that no other test uses. */
export function aStream(): string {
  return `discussion-${randomUUID()}`;
}

/** A message with a text of its own; give an id to repeat an event. */
export function aMessage(text = 'hello', id: string = randomUUID()): NewEvent {
  return {
    id,
    type: 'MessagePosted',
    schemaVersion: 1,
    data: { messageId: randomUUID(), author: { userId: 'u-1', name: 'Ada' }, content: [{ type: 'text', text }] },
    metadata: {
      actor: { kind: 'user', id: 'u-1' },
      project: 'default',
      occurredAt: '2026-01-02T03:04:05.678Z',
      commandId: randomUUID(),
      bodySha256: 'a'.repeat(64),
      correlationId: randomUUID(),
    },
  };
}

/** An event of another type than messages. */
export function aConclusion(): NewEvent {
  return { ...aMessage(), type: 'DiscussionConcluded', data: { reason: 'max-turns' } };
}

/** As many events, each with an id of its own. */
export function messages(count: number): NewEvent[] {
  return Array.from({ length: count }, (_, i) => aMessage(`message ${i}`));
}

/** Everything an iterable gives until it ends. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Reads slices until `enough` says so of all events so far; leaves by break. */
export async function follow(
  store: EventStore,
  after: bigint,
  enough: (events: readonly RecordedEvent[], slice: Slice) => boolean,
): Promise<{ events: RecordedEvent[]; slices: Slice[] }> {
  const events: RecordedEvent[] = [];
  const slices: Slice[] = [];
  for await (const slice of store.subscribe(after, { signal: new AbortController().signal })) {
    slices.push(slice);
    events.push(...slice.events);
    if (enough(events, slice)) break;
  }
  return { events, slices };
}
