/** What every adapter of the Leases port answers. */
import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import type { Leases } from '../../domain/ports.ts';
import { suite } from '../harness.ts';

/** Registers and runs the suite; `make` gives leases without a row. */
export function leasesContract(name: string, make: () => Promise<{ leases: Leases; stop(): Promise<void> }>): void {
  const test = suite(name);
  let made: Awaited<ReturnType<typeof make>>;
  test.before(async () => void (made = await make()));
  test.after(async () => await made.stop());

  test('counts renewals up and tells who holds what', async () => {
    const { leases } = made;
    const [a, b] = [randomUUID(), randomUUID()];
    await leases.renew('w1', [
      { turnId: a, fence: 3 },
      { turnId: b, fence: 7 },
    ]);
    await leases.renew('w1', [{ turnId: a, fence: 3 }]);
    const listed = await leases.list([a, b, randomUUID()]);
    assert.equal(
      listed.sort((x, y) => x.fence - y.fence),
      [
        { turnId: a, worker: 'w1', fence: 3, renewals: 2 },
        { turnId: b, worker: 'w1', fence: 7, renewals: 1 },
      ],
    );
  });

  test('a newer claim takes over, an older one changes nothing', async () => {
    const { leases } = made;
    const turnId = randomUUID();
    await leases.renew('w1', [{ turnId, fence: 3 }]);
    await leases.renew('w2', [{ turnId, fence: 9 }]);
    const [taken] = await leases.list([turnId]);
    assert.equal(taken, { turnId, worker: 'w2', fence: 9, renewals: 2 });
    await leases.renew('w1', [{ turnId, fence: 3 }]);
    assert.equal(await leases.list([turnId]), [taken]);
  });

  test('released leases are gone, others stay, and what is not held may be released', async () => {
    const { leases } = made;
    const [a, b] = [randomUUID(), randomUUID()];
    await leases.renew('w1', [
      { turnId: a, fence: 1 },
      { turnId: b, fence: 1 },
    ]);
    await leases.release([a, randomUUID()]);
    assert.equal(
      (await leases.list([a, b])).map(({ turnId }) => turnId),
      [b],
    );
  });

  test('nothing held, released or asked for is no mistake', async () => {
    await made.leases.renew('w1', []);
    await made.leases.release([]);
    assert.equal(await made.leases.list([]), []);
  });

  test('two workers that renew the same turns in opposite orders do not block each other', async () => {
    const held = Array.from({ length: 50 }, () => ({ turnId: randomUUID(), fence: 1 }));
    const { leases } = made;
    await Promise.all(Array.from({ length: 10 }, (_, i) => leases.renew(`w${i}`, i % 2 ? held : [...held].reverse())));
    const listed = await leases.list(held.map(({ turnId }) => turnId));
    assert.ok(listed.every(({ renewals }) => renewals === 10));
  });
  test.run();
}
