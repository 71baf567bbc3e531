/** What every adapter of the RequestCounts port answers. */
import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import type { RequestCounts } from '../../domain/ports.ts';
import { suite } from '../harness.ts';

interface Made {
  readonly counts: RequestCounts;
  /** The same counts as another process has them. */
  readonly elsewhere: RequestCounts;
  stop(): Promise<void>;
}

/** Registers and runs the suite. */
export function requestCountsContract(name: string, make: () => Promise<Made>): void {
  const test = suite(name);
  let made: Made;
  test.before(async () => void (made = await make()));
  test.after(async () => await made.stop());

  test('counts each key on its own over all processes, in one window', async () => {
    const { counts, elsewhere } = made;
    const [a, b] = [`user:${randomUUID()}`, `address:${randomUUID()}`];
    const add = async (at: RequestCounts, ...given: [string, number][]) => {
      const hits = given.map(([key, each]) => ({ key, hits: each }));
      const answered = await at.add(hits, 60_000);
      assert.ok(answered.every(({ leftMs }) => leftMs > 50_000 && leftMs <= 60_000));
      return Object.fromEntries(answered.map((each) => [each.key, each.hits]));
    };
    assert.equal(await add(counts, [a, 1], [b, 5]), { [a]: 1, [b]: 5 });
    assert.equal(await add(elsewhere, [b, 2], [a, 3]), { [a]: 4, [b]: 7 });
    assert.equal(await add(counts, [a, 1]), { [a]: 5 });
    assert.equal(await counts.add([], 60_000), []);
  });

  test('every hit gets a number of its own, however many count at once', async () => {
    const { counts, elsewhere } = made;
    const keys = Array.from({ length: 5 }, () => randomUUID());
    const asked = Array.from({ length: 40 }, (_, i) => {
      const hits = keys.map((key) => ({ key, hits: 1 }));
      return (i % 2 ? counts : elsewhere).add(i % 3 ? hits : hits.reverse(), 60_000);
    });
    const answered = (await Promise.all(asked)).flat();
    for (const key of keys) {
      const numbers = answered.filter((each) => each.key === key).map(({ hits }) => hits);
      assert.equal(
        numbers.sort((x, y) => x - y),
        Array.from({ length: 40 }, (_, i) => i + 1),
      );
    }
  });

  test('begins anew when the window is over', async () => {
    const { counts, elsewhere } = made;
    const key = randomUUID();
    await counts.add([{ key, hits: 7 }], 1);
    let [again] = await elsewhere.add([{ key, hits: 1 }], 1);
    for (let tries = 0; again?.hits !== 1 && tries < 1_000; tries += 1)
      [again] = await elsewhere.add([{ key, hits: 1 }], 1);
    assert.is(again?.hits, 1);
  });
  test.run();
}
