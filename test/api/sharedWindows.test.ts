/** The rate limit over several processes: exact, cheap, and there when the database is not. */
import type { Store } from 'express-rate-limit';
import * as assert from 'uvu/assert';
import { sharedWindows } from '../../api/sharedWindows.ts';
import type { Clock, RequestCounts } from '../../domain/ports.ts';
import { createPostgresRequestCounts } from '../../infra/postgresRequestCounts.ts';
import { suite } from '../harness.ts';
import { realLog, type TestLog } from '../infra/postgresStores.ts';
import { wallClock } from '../standins/wallClock.ts';

const test = suite('rate limit over several processes');
let log: TestLog;
let counts: readonly RequestCounts[];
test.before(async () => {
  log = await realLog();
  counts = [log, await log.another(), await log.another()].map(({ database }) => createPostgresRequestCounts(database));
});
test.after(() => log.stop());

const processes = (requests: number, clock: Clock = wallClock): Store[] =>
  counts.map((each) => sharedWindows({ counts: each, clock, requests, windowMs: 600_000, maxKeys: 100 }));

/** How many of `asked` requests pass, sent to the processes in turn. */
async function passed(stores: readonly Store[], key: string, requests: number, asked: number, atOnce: number) {
  let admitted = 0;
  for (let i = 0; i < asked; i += atOnce) {
    const group = Array.from({ length: atOnce }, (_, j) =>
      Promise.resolve(stores[(i + j) % stores.length]?.increment(key)),
    );
    for (const hit of await Promise.all(group)) admitted += (hit?.totalHits ?? Infinity) <= requests ? 1 : 0;
  }
  return admitted;
}

test('a small limit is exact over three processes, one after another and all at once', async () => {
  assert.is(await passed(processes(20), 'user:one', 20, 60, 1), 20);
  assert.is(await passed(processes(20), 'user:all', 20, 60, 60), 20);
  assert.is(await passed(processes(7), 'user:odd', 7, 60, 10), 7);
});

test(
  'a large limit is passed by at most a twentieth for each further process, and by none when it comes slowly',
  async () => {
    const limit = 600;
    const burst = await passed(processes(limit), 'user:burst', limit, 1_800, 1_800);
    assert.ok(burst >= limit && burst <= limit + 2 * (limit / 20), `${burst}`);
    const stores = processes(limit);
    const early = await passed(stores, 'user:slow', limit, 500, 20);
    await wallClock.sleep(500);
    assert.is(early + (await passed(stores, 'user:slow', limit, 300, 20)), limit);
  },
  { deadlineMs: 60_000 },
);

test('far from the limit many requests share one question, and beyond it nobody asks', async () => {
  let asked = 0;
  const [first] = counts;
  const counted: RequestCounts = { add: async (...given) => ((asked += 1), (await first?.add(...given)) ?? []) };
  const options = { clock: wallClock, requests: 4_000, windowMs: 600_000, maxKeys: 100 };
  const store = sharedWindows({ counts: counted, ...options });
  assert.is(await passed([store], 'user:cheap', 4_000, 150, 1), 150);
  assert.ok(asked <= 15, `${asked} questions`);
  const strict = sharedWindows({ counts: counted, ...options, requests: 5 });
  assert.is(await passed([strict], 'user:over', 5, 10, 1), 5);
  asked = 0;
  assert.is(await passed([strict], 'user:over', 5, 1_000, 10), 0);
  assert.is(asked, 0);
});

test('while the database is away or silent each process counts on its own, and asks again later', async () => {
  let fault: (() => Promise<never>) | null = () => Promise.reject(new Error('away'));
  let now = 0;
  // Waits end at once: the answer that never comes is given up, the pause after a fault is not slept.
  const clock: Clock = { now: () => now, monotonic: () => now, sleep: (_ms, signal) => wallClock.sleep(1, signal) };
  const [first] = counts;
  const faulty: RequestCounts = { add: async (...given) => (fault ? fault() : ((await first?.add(...given)) ?? [])) };
  const store = sharedWindows({ counts: faulty, clock, requests: 10, windowMs: 600_000, maxKeys: 100 });
  assert.is(await passed([store], 'user:away', 10, 20, 1), 10);
  fault = () => new Promise(() => undefined);
  now += 2_000;
  assert.is(await passed([store], 'user:silent', 10, 20, 1), 10);
  fault = null;
  now += 2_000;
  await first?.add([{ key: 'user:back', hits: 8 }], 600_000);
  const real = sharedWindows({ counts: faulty, clock: { ...wallClock, monotonic: () => now }, ...SMALL });
  assert.is(await passed([real], 'user:back', 10, 20, 1), 2);
});
const SMALL = { requests: 10, windowMs: 600_000, maxKeys: 100 };

test('a window that is over begins anew for all, and keys are bounded', async () => {
  let now = Date.now();
  const clock: Clock = { ...wallClock, now: () => now };
  const [one, other] = processes(5, clock);
  if (one === undefined || other === undefined) throw new Error('no processes');
  assert.is(await passed([one, other], 'user:anew', 5, 20, 1), 5);
  now += 600_001;
  await log.database.pool.query(`update request_counts set ends_at = now() where key = 'user:anew'`);
  assert.is(await passed([one, other], 'user:anew', 5, 20, 1), 5);
  for (let i = 0; i < 300; i += 1) await one.increment(`address:${i}`);
  assert.is((await one.increment('address:0')).totalHits, 2, 'forgotten here, known to all');
});

test('a window that ends with untold hits does not keep those of others from the common count', async () => {
  let now = Date.now();
  const [first] = counts;
  let told: (keys: string[]) => void = () => undefined;
  const counted: RequestCounts = {
    async add(hits, windowMs) {
      const answers = (await first?.add(hits, windowMs)) ?? [];
      told(hits.map(({ key }) => key));
      return answers;
    },
  };
  const options = { clock: { ...wallClock, now: () => now }, requests: 1_000, windowMs: 600_000, maxKeys: 2 };
  const store = sharedWindows({ counts: counted, ...options });
  await store.increment('user:over-soon');
  now += 600_001;
  // The third pushes the first out, which then begins a third window.
  for (const key of ['user:over-soon', 'user:other', 'user:bystander', 'user:over-soon']) await store.increment(key);
  const keys: string[] = [];
  await new Promise<void>((resolve) => {
    told = (more) => void (keys.push(...more), keys.length >= 5 && resolve());
  });
  assert.equal(keys.filter((key) => key === 'user:bystander').length, 1);
  assert.equal(await first?.add([{ key: 'user:bystander', hits: 1 }], 600_000).then(([row]) => row?.hits), 2);
  assert.equal(await first?.add([{ key: 'user:over-soon', hits: 1 }], 600_000).then(([row]) => row?.hits), 4);
});

test.run();
