/** What every adapter of the Announcements port answers. */
import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import type { RecordedEvent } from '../../domain/envelope.ts';
import type { Announcements } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import { suite } from '../harness.ts';
import { aMessage } from './sampleEvents.ts';

export interface AnnouncementsForTests {
  /** Two processes of one installation. */
  readonly first: Announcements;
  readonly second: Announcements;
  /** Positions of everything announced and still kept, as a reader of the vendor's own client finds them. */
  positions(): Promise<bigint[]>;
  /** Throws away what was announced, as retention does. */
  purge(): Promise<void>;
  stop(): Promise<void>;
}

/** Events of one stream at positions with gaps, as some logs have them. */
export function eventsAt(...positions: number[]): RecordedEvent[] {
  const stream = `discussion-${randomUUID()}`;
  return positions.map((position, revision) => ({
    ...aMessage(`at ${position}`),
    ...{ stream, revision, position: BigInt(position) },
  }));
}

async function isConflict(promise: Promise<void>): Promise<void> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.instance(error, Refusal);
  assert.is(error instanceof Refusal && error.code, 'conflict');
}

/** Registers and runs the suite; `make` gives announcements of which none was made. */
export function announcementsContract(name: string, make: () => Promise<AnnouncementsForTests>): void {
  const test = suite(`announcements: ${name}`);
  let made: AnnouncementsForTests;
  test.before.each(async () => void (made = await make()));
  test.after.each(async () => await made.stop());

  test('nothing was announced at first; then the last position is told, by every process', async () => {
    assert.is(await made.first.last(), null);
    await made.first.announce(eventsAt(3, 4, 8), null);
    assert.is(await made.first.last(), 8n);
    assert.is(await made.second.last(), 8n);
    await made.second.announce(eventsAt(9), 8n);
    await made.second.announce(eventsAt(10, 12), 9n);
    assert.equal(await made.first.last(), 12n);
    assert.equal(await made.positions(), [3n, 4n, 8n, 9n, 10n, 12n]);
  });

  test('nothing to announce changes nothing', async () => {
    await made.first.announce([], null);
    await made.first.announce(eventsAt(1), null);
    await made.first.announce([], 1n);
    assert.equal(await made.positions(), [1n]);
  });

  test('more than fits on the way at once keeps its order', async () => {
    const count = 1_500;
    await made.first.announce(eventsAt(...Array.from({ length: count }, (_, i) => i + 1)), null);
    assert.equal(
      await made.positions(),
      Array.from({ length: count }, (_, i) => BigInt(i + 1)),
    );
  });

  test('who does not follow the last one is refused and announces nothing', async () => {
    await made.first.announce(eventsAt(5, 6), null);
    await isConflict(made.second.announce(eventsAt(6, 7), 5n));
    await isConflict(made.second.announce(eventsAt(7), null));
    await isConflict(made.first.announce(eventsAt(9), 8n));
    assert.equal(await made.positions(), [5n, 6n]);
    await made.second.announce(eventsAt(7), 6n);
    await isConflict(made.first.announce(eventsAt(8), 6n));
    assert.equal(await made.positions(), [5n, 6n, 7n]);
  });

  test('who has an old view leaves nothing out, also when its later events would stand at the right number', async () => {
    const [one, two, ...rest] = eventsAt(1, 2, 3, 4, 5, 6);
    assert.is(await made.second.last(), null);
    if (one === undefined || two === undefined) throw new Error('no events');
    await made.first.announce([one], null);
    await isConflict(made.second.announce([two, ...rest], null));
    assert.equal(await made.positions(), [1n]);
    await made.first.announce([two], 1n);
    await isConflict(made.second.announce(rest, 1n));
    assert.equal(await made.positions(), [1n, 2n]);
  });

  test('the same events from two at once stand there once, in order, and one at least is told', async () => {
    const events = eventsAt(...Array.from({ length: 400 }, (_, i) => i + 1));
    const outcomes = await Promise.allSettled([made.first.announce(events, null), made.second.announce(events, null)]);
    const refused = outcomes.filter(({ status }) => status === 'rejected').length;
    assert.ok(refused >= 1, `${refused} refused`);
    const last = (await made.second.last()) ?? 0n;
    const rest = events.filter(({ position }) => position > last);
    if (rest.length > 0) await made.second.announce(rest, last === 0n ? null : last);
    assert.equal(
      await made.positions(),
      events.map(({ position }) => position),
    );
  });

  test('what is purged is no longer the last, and what follows is announced all the same', async () => {
    await made.first.announce(eventsAt(1, 2), null);
    await made.purge();
    assert.is(await made.second.last(), null);
    await made.first.announce(eventsAt(3), null);
    assert.is(await made.second.last(), 3n);
    await made.purge();
    await made.second.announce(eventsAt(4), null);
    assert.equal(await made.positions(), [4n]);
  });

  test.run();
}
