/** What every adapter of the Snapshots port answers. */
import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import type { Snapshot, Snapshots } from '../../domain/ports.ts';
import { suite } from '../harness.ts';
import { aStream } from './sampleEvents.ts';

/** Registers and runs the suite; `make` gives snapshots without a row. */
export function snapshotsContract(
  name: string,
  make: () => Promise<{ snapshots: Snapshots; stop(): Promise<void> }>,
): void {
  const test = suite(name);
  let made: Awaited<ReturnType<typeof make>>;
  const snapshot = (revision: number, version = 1): Snapshot => ({
    revision,
    eventId: randomUUID(),
    version,
    state: { status: 'open', list: [1, 'é', null], revision },
  });
  test.before(async () => void (made = await make()));
  test.after(async () => await made.stop());

  test('gives back what was saved, null when there is none', async () => {
    const { snapshots } = made;
    const [stream, saved] = [aStream(), snapshot(4)];
    assert.is(await snapshots.load(stream), null);
    await snapshots.save(stream, saved);
    assert.equal(await snapshots.load(stream), saved);
  });

  test('moves forwards, never backwards', async () => {
    const { snapshots } = made;
    const stream = aStream();
    const [older, newer] = [snapshot(4), snapshot(9)];
    await snapshots.save(stream, older);
    await snapshots.save(stream, newer);
    await snapshots.save(stream, older);
    assert.equal(await snapshots.load(stream), newer);
  });

  test('at one revision a newer fold replaces an older one, not the other way round', async () => {
    const { snapshots } = made;
    const stream = aStream();
    const newer = snapshot(4, 2);
    await snapshots.save(stream, snapshot(4, 1));
    await snapshots.save(stream, newer);
    await snapshots.save(stream, snapshot(4, 1));
    assert.equal(await snapshots.load(stream), newer);
  });

  test('saved in any order at once, the latest stays', async () => {
    const { snapshots } = made;
    const stream = aStream();
    const all = Array.from({ length: 20 }, (_, i) => snapshot((i * 7) % 20));
    await Promise.all(all.map((each) => snapshots.save(stream, each)));
    assert.is((await snapshots.load(stream))?.revision, 19);
  });
  test.run();
}
