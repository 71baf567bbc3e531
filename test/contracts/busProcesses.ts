/** What several processes on one bus may rely on. */
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { Bus } from '../../domain/ports.ts';
import type { Suite } from '../harness.ts';
import { consumer, delta, reader, until, wakeUp } from './busUsers.ts';

/** Adds the tests; `bus` and `other` are the same bus as two processes have it. */
export function processes(test: Suite, bus: () => Bus, other: () => Bus): void {
  test('processes share the wake-ups of all: each one comes to one of them', async () => {
    const consumers = [consumer(bus()), consumer(other())];
    await delay(10);
    const sent = Array.from({ length: 40 }, () => wakeUp());
    for (const [i, each] of sent.entries()) {
      await (i % 2 === 0 ? bus() : other()).wake(each);
      await delay(1);
    }
    const all = () => consumers.flatMap(({ got }) => got);
    await until(() => all().length >= sent.length);
    assert.equal(
      all()
        .map(({ turnId }) => turnId)
        .sort(),
      sent.map(({ turnId }) => turnId).sort(),
    );
    assert.ok(consumers.every(({ got }) => got.length > 0));
    await Promise.all(consumers.map((each) => each.stop()));
  });

  test('deltas reach the readers of every process, and an ended turn is forgotten for all', async () => {
    bus().publish(delta({ turnId: 'a', text: '1' }));
    const early = reader(other(), { project: '*' });
    await until(() => early.got.length === 1);
    bus().publish(delta({ turnId: 'a', offset: 1, text: '2' }));
    await until(() => early.got.length === 2);
    bus().endTurn('a');
    bus().publish(delta({ turnId: 'b', text: '3' }));
    await until(() => early.got.length === 3);
    const late = reader(other(), { project: 'default' });
    await until(() => late.got.length === 1);
    await delay(10);
    assert.equal(
      [early, late].map(({ got }) => got.map(({ text }) => text).join('')),
      ['123', '3'],
    );
    await Promise.all([early.stop(), late.stop()]);
  });

  test('what was woken once may be woken again by who took it', async () => {
    const one = wakeUp();
    await bus().wake(one);
    const taker = consumer(other());
    await until(() => taker.got.length === 1);
    await other().wake(one);
    await until(() => taker.got.length === 2);
    assert.equal(taker.got, [one, one]);
    await taker.stop();
  });
}
