import type { RecordedEvent } from '../domain/envelope.ts';
import type { Member } from './checkpoints.ts';
import { charsOf, type BufferLimits } from './eventBuffer.ts';
import { backOffMs, type TrackOptions } from './persist.ts';
import { createTrack, type Track } from './track.ts';

export type CatchUpOptions = Omit<TrackOptions, 'onBehind'> & { readonly batch: BufferLimits };

/** A track of one read model, that has applied the log up to the end it had when it got there. */
export async function catchUpAlone(options: CatchUpOptions, member: Member): Promise<Track> {
  const track = createTrack({ ...options, onBehind: () => undefined }, [member]);
  await replay(options, track, member);
  return track;
}

/** Applies what the log holds beyond the member's place. */
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
      if (track.members.includes(member)) return;
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
