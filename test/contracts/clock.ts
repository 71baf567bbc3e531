/** What every adapter of the Clock port answers. */
import * as assert from 'uvu/assert';
import type { Clock } from '../../domain/ports.ts';
import { suite } from '../harness.ts';

/** Registers and runs the suite. Timers may be late on a busy machine, never early by more than a millisecond's rounding. */
export function clockContract(name: string, clock: Clock): void {
  const test = suite(`clock: ${name}`);

  test('tells the wall clock in milliseconds since the epoch', () => {
    assert.ok(Math.abs(clock.now() - Date.now()) < 1_000);
  });

  test('monotonic time never goes backwards and passes with sleep', async () => {
    let before = clock.monotonic();
    const start = before;
    for (let i = 0; i < 1_000; i += 1) {
      const now = clock.monotonic();
      assert.ok(now >= before);
      before = now;
    }
    await clock.sleep(30);
    assert.ok(clock.monotonic() - start >= 29);
  });

  test('an aborted sleep resolves at once, also when the signal had aborted before', async () => {
    const start = clock.monotonic();
    const stop = new AbortController();
    const sleeping = clock.sleep(60_000, stop.signal);
    stop.abort(new Error('a reason'));
    await sleeping;
    await clock.sleep(60_000, stop.signal);
    assert.ok(clock.monotonic() - start < 1_000);
  });

  test('no time and negative times are over soon, and days do not overflow into no time', async () => {
    await clock.sleep(0);
    await clock.sleep(-5);
    const stop = new AbortController();
    let over = false;
    const long = clock.sleep(2 ** 40, stop.signal).then(() => (over = true));
    await clock.sleep(20);
    assert.is(over, false);
    stop.abort();
    await long;
  });
  test.run();
}
