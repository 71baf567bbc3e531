import type { RecordedEvent } from '../domain/envelope.ts';
import { loadMembers, type Member } from './checkpoints.ts';
import { charsOf, type BufferLimits } from './eventBuffer.ts';
import { backOffMs, type TrackOptions } from './persist.ts';
import { createTrack, type Track } from './track.ts';

/** How often a paused read model is looked at. */
const PAUSED_CHECK_MS = 1_000;

export type CatchUpOptions = Omit<TrackOptions, 'onBehind'> & { readonly batch: BufferLimits };

/** A track of one read model, that has applied the log up to the end it had when it got there. */
export async function catchUpAlone(options: CatchUpOptions, member: Member): Promise<Track> {
  const track = createTrack({ ...options, onBehind: () => undefined }, [member]);
  do {
    await resumed(options, member);
    await replay(options, track, member);
  } while (member.paused && !options.signal.aborted);
  return track;
}

/** Waits while the read model is paused. */
async function resumed({ knex, clock, signal, onFault }: CatchUpOptions, member: Member): Promise<void> {
  while (member.paused && !signal.aborted) {
    await clock.sleep(PAUSED_CHECK_MS, signal);
    if (signal.aborted) return;
    try {
      const [now] = await loadMembers(knex, [member.projection]);
      if (now) Object.assign(member, now);
    } catch (error) {
      onFault(error);
    }
  }
}

/** Applies what the log holds beyond the member's place; ends early when it is paused. */
export async function replay(options: CatchUpOptions, track: Track, member: Member): Promise<void> {
  const { store, clock, signal } = options;
  for (let failures = 0; !signal.aborted; failures += 1)
    try {
      let after = member.folded;
      for await (const events of batches(store.readAll(after), options.batch)) {
        await track.push(events, after);
        after = events.at(-1)?.position ?? after;
        if (signal.aborted || !track.members.includes(member)) break;
      }
      await track.flush();
      if (track.members.includes(member) || member.paused) return;
      // Its checkpoint went back, and the track let it go: once more from there.
      track.members.push(member);
    } catch (error) {
      options.onFault(error);
      await clock.sleep(backOffMs(failures), signal);
    }
}

/** Events in arrays of bounded count and size. */
async function* batches(events: AsyncIterable<RecordedEvent>, limits: BufferLimits): AsyncIterable<RecordedEvent[]> {
  let batch: RecordedEvent[] = [];
  let chars = 0;
  for await (const event of events) {
    batch.push(event);
    chars += charsOf(event);
    if (batch.length < limits.maxEvents && chars < limits.maxChars) continue;
    yield batch;
    batch = [];
    chars = 0;
  }
  if (batch.length > 0) yield batch;
}
