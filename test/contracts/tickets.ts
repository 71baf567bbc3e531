/** What every adapter of the Tickets port answers. */
import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import type { Tickets } from '../../domain/ports.ts';
import { suite } from '../harness.ts';

interface Made {
  readonly tickets: Tickets;
  /** The same tickets as another process has them. */
  readonly elsewhere: Tickets;
  stop(): Promise<void>;
}

const LIMITS = { lifeMs: 30_000, perOwner: 10, inAll: 30 };

/** Registers and runs the suite; `make` gives a place without tickets. */
export function ticketsContract(name: string, make: () => Promise<Made>): void {
  const test = suite(name);
  let made: Made;
  test.before(async () => void (made = await make()));
  test.after(async () => await made.stop());
  const aTicket = (owner = 'user:ada') => ({ owner, path: '/api/v1/stream', holder: '{"é":"\\""}' });

  test('is spent once, at another process, with all that it holds', async () => {
    const { tickets, elsewhere } = made;
    const hash = randomUUID();
    const endsAt = (await tickets.keep(hash, aTicket(), LIMITS)) ?? 0;
    assert.ok(Math.abs(endsAt - Date.now() - LIMITS.lifeMs) < 10_000, `${endsAt}`);
    assert.equal(await elsewhere.spend(hash), aTicket());
    assert.is(await tickets.spend(hash), null);
    assert.is(await elsewhere.spend(randomUUID()), null);
  });

  test('twenty that spend one ticket at the same moment: one has it', async () => {
    const { tickets, elsewhere } = made;
    const hash = randomUUID();
    await tickets.keep(hash, aTicket(), LIMITS);
    const got = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? tickets : elsewhere).spend(hash)));
    assert.is(got.filter((each) => each !== null).length, 1);
  });

  test('ends with its life, which frees its place', async () => {
    const { tickets, elsewhere } = made;
    const short = { ...LIMITS, lifeMs: 1, perOwner: 1 };
    const hash = randomUUID();
    await tickets.keep(hash, aTicket(), short);
    const next = randomUUID();
    while ((await elsewhere.keep(next, aTicket(), short)) === null);
    assert.is(await tickets.spend(hash), null);
    // Else it may still count when the next case begins.
    await tickets.spend(next);
  });

  test('is bounded for each owner and in all, over all processes', async () => {
    const { tickets, elsewhere } = made;
    const keep = async (owner: string, i: number) =>
      (await (i % 2 ? tickets : elsewhere).keep(randomUUID(), aTicket(owner), LIMITS)) !== null;
    for (let i = 0; i < 10; i += 1) assert.ok(await keep('user:ada', i));
    assert.not.ok(await keep('user:ada', 0));
    for (let i = 0; i < 20; i += 1) assert.ok(await keep(`user:${i}`, i));
    assert.not.ok(await keep('user:grace', 0));
  });
  test.run();
}
