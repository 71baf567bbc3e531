/** What every adapter of the Slots port answers. */
import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import type { Slots } from '../../domain/ports.ts';
import { suite } from '../harness.ts';
import { until } from '../workers/talks.ts';

const LONG_MS = 600_000;

/** Registers and runs the suite; `make` gives slots that nobody holds, `another` one more process's. */
export function slotsContract(
  name: string,
  make: () => Promise<{ slots: Slots; another(): Promise<Slots>; stop(): Promise<void> }>,
): void {
  const test = suite(name);
  let made: Awaited<ReturnType<typeof make>>;
  test.before(async () => void (made = await make()));
  test.after(async () => await made.stop());
  const model = () => ({ name: `provider/${randomUUID()}`, limit: 2 });

  test('as many as the limit get a place, and a place that is given back goes to the next', async () => {
    const { slots } = made;
    const one = model();
    assert.is(await slots.take('a', [one], LONG_MS), true);
    assert.is(await slots.take('b', [one], LONG_MS), true);
    assert.is(await slots.take('c', [one], LONG_MS), false);
    assert.is(await slots.take('c', [model()], LONG_MS), true, 'another name has places of its own');
    await slots.free(['a', 'nobody']);
    assert.is(await slots.take('c', [one], LONG_MS), true);
    assert.is(await slots.take('d', [one], LONG_MS), false);
  });

  test('who has its places already keeps them, also under a limit that has become smaller', async () => {
    const { slots } = made;
    const one = model();
    await slots.take('a', [one], LONG_MS);
    await slots.take('b', [one], LONG_MS);
    assert.is(await slots.take('a', [one], LONG_MS), true);
    assert.is(await slots.take('b', [{ ...one, limit: 1 }], LONG_MS), true);
    await slots.free(['a']);
    assert.is(await slots.take('c', [{ ...one, limit: 1 }], LONG_MS), false);
  });

  test('a place of each or of none', async () => {
    const { slots } = made;
    const [provider, one, other] = [model(), model(), model()];
    const narrow = { ...one, limit: 1 };
    assert.is(await slots.take('a', [provider, narrow], LONG_MS), true);
    assert.is(await slots.take('b', [provider, narrow], LONG_MS), false, 'the model is full');
    assert.is(await slots.take('b', [provider, other], LONG_MS), true, 'and took none of the provider');
    assert.is(await slots.take('c', [provider, other], LONG_MS), false, 'the provider is full');
    await slots.free(['a']);
    assert.is(await slots.take('c', [other, provider], LONG_MS), true, 'in whatever order');
    assert.is(await slots.take('d', [], LONG_MS), true, 'nothing wanted, nothing in the way');
  });

  test('a place that is not renewed comes back after its time, one that is renewed does not', async () => {
    const { slots } = made;
    const one = model();
    await slots.take('kept', [one], 1_500);
    await slots.take('lost', [one], 1_500);
    await until(async () => {
      await slots.renew(['kept', 'nobody']);
      return slots.take('next', [one], LONG_MS);
    }, 8_000);
    assert.is(await slots.take('another', [one], LONG_MS), false, 'the renewed one is still held');
    await slots.renew([]);
    await slots.free([]);
  });

  test(
    'never more than the limit, however many processes take and give back at once',
    async () => {
      const others = [made.slots, await made.another(), await made.another()];
      const [provider, a, b] = [{ ...model(), limit: 3 }, model(), model()];
      const now = new Map([provider, a, b].map(({ name }) => [name, 0]));
      let most = 0;
      let taken = 0;
      const work = async (slots: Slots, i: number) => {
        for (let n = 0; n < 20; n += 1) {
          const holder = `${i}/${n}`;
          const wanted = (i + n) % 2 === 0 ? [provider, a] : [b, provider];
          if (!(await slots.take(holder, wanted, LONG_MS))) continue;
          taken += 1;
          for (const { name, limit } of wanted) {
            const held = (now.get(name) ?? 0) + 1;
            now.set(name, held);
            most = Math.max(most, held);
            assert.ok(held <= limit, `${held} of ${limit}`);
          }
          await slots.renew([holder]);
          for (const { name } of wanted) now.set(name, (now.get(name) ?? 0) - 1);
          await slots.free([holder]);
        }
      };
      await Promise.all(others.flatMap((slots, i) => [work(slots, 10 * i), work(slots, 10 * i + 5)]));
      assert.is(most, 3, 'and all of it was used');
      assert.ok(taken >= 20, `${taken} taken`);
    },
    { deadlineMs: 30_000 },
  );
  test.run();
}
