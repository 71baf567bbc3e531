/** What every adapter of the Ids port answers. */
import * as assert from 'uvu/assert';
import type { Ids } from '../../domain/ports.ts';
import { suite } from '../harness.ts';

/** Registers and runs the suite. */
export function idsContract(name: string, ids: Ids): void {
  const test = suite(`ids: ${name}`);

  test('next gives different UUIDs of version 7, in the order of their making', () => {
    const made = Array.from({ length: 2_000 }, () => ids.next());
    assert.is(new Set(made).size, made.length);
    for (const id of made) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal([...made].sort(), made);
  });

  test('nonces are 16 hexadecimal digits, all different, with every digit at every place', () => {
    const made = Array.from({ length: 1_000 }, () => ids.nonce());
    assert.is(new Set(made).size, made.length);
    for (const nonce of made) assert.match(nonce, /^[0-9a-f]{16}$/);
    for (let place = 0; place < 16; place += 1) assert.is(new Set(made.map((nonce) => nonce[place])).size, 16);
  });

  test('random numbers lie in [0, 1) and on both sides of the middle', () => {
    const made = Array.from({ length: 1_000 }, () => ids.random());
    assert.ok(made.every((each) => each >= 0 && each < 1));
    const low = made.filter((each) => each < 0.5).length;
    assert.ok(low > 350 && low < 650, `${low} of 1000 below the middle`);
  });
  test.run();
}
