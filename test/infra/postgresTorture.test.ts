/**
 * Sixteen writers in three processes' worth of stores, with conflicts and repetitions, while one reader catches up again
 * and again, one follows live, and a transaction stands open in another database of the server (which holds up logs that
 * order by transaction ids).
 */
import { randomInt } from 'node:crypto';
import pg from 'pg';
import * as assert from 'uvu/assert';
import type { RecordedEvent } from '../../domain/envelope.ts';
import { type EventStore, NO_STREAM } from '../../domain/ports.ts';
import { WrongExpectedRevision } from '../../domain/refusal.ts';
import { aStream, collect, follow, messages } from '../contracts/sampleEvents.ts';
import { suite } from '../harness.ts';
import { postgresForTests, type TestDatabase } from '../services.ts';
import { realLog, type TestLog } from './postgresStores.ts';

const WRITERS = 16;
const APPENDS = 150;
const SHARED_STREAMS = 6;

const test = suite('Postgres log under load');
let log: TestLog;
let elsewhere: TestDatabase;
let idle: pg.Client;

test.before(async () => {
  log = await realLog();
  elsewhere = await postgresForTests();
  idle = new pg.Client({ connectionString: elsewhere.url, connectionTimeoutMillis: 5_000 });
  idle.on('error', () => undefined);
  await idle.connect();
  await idle.query('create table t (n int); begin; insert into t values (1); select txid_current()');
});
test.after(async () => {
  await idle.end();
  await log.stop();
  await elsewhere.stop();
});

test(
  'every event is seen once, in order, at positions without a gap',
  async () => {
    const stores = [log.store, (await log.another()).store, (await log.another()).store];
    const reading = (await log.another()).store;
    const shared = Array.from({ length: SHARED_STREAMS }, aStream);
    const written = { appends: 0, events: 0, conflicts: 0 };
    let total = Infinity;
    const live = follow(reading, 0n, (events, { caughtUp }) => caughtUp && events.length >= total);
    const catchUp = catchUpAgain(reading, () => total);
    await Promise.all(
      Array.from({ length: WRITERS }, async (_, i) => {
        const store = stores[i % stores.length] ?? log.store;
        const own = aStream();
        for (let n = 0; n < APPENDS; n += 1)
          await appendSomehow(store, n % 3 === 0 ? (shared[randomInt(SHARED_STREAMS)] ?? own) : own, written);
      }),
    );
    // A last one, so that the live reader is woken and looks at the total.
    total = written.events + 1;
    await log.store.append(aStream(), messages(1), NO_STREAM);
    const seen = (await live).events;
    assert.is(seen.length, total);
    assert.ok(seen.every(({ position }, i) => position === BigInt(i + 1)));
    assert.is(new Set(seen.map(({ id }) => id)).size, total);
    assert.equal(revisionsWithGaps(seen), []);
    const caughtUp = await catchUp;
    assert.is(caughtUp.length, total);
    assert.ok(caughtUp.every((id, i) => id === seen[i]?.id));
    assert.is(written.appends, WRITERS * APPENDS);
    assert.ok(written.conflicts > 0, 'there was no conflict');
  },
  { deadlineMs: 150_000 },
);

/** Appends 1-3 events at the revision it finds, again after every conflict, and now and then the same twice at once. */
async function appendSomehow(
  store: EventStore,
  stream: string,
  written: { appends: number; events: number; conflicts: number },
): Promise<void> {
  const batch = messages(randomInt(1, 4));
  for (;;) {
    const [last] = await collect(store.read(stream, { backwards: true, limit: 1 }));
    const expected = last?.revision ?? NO_STREAM;
    try {
      const tries = randomInt(10) === 0 ? 2 : 1;
      const outcomes = await Promise.all(Array.from({ length: tries }, () => store.append(stream, batch, expected)));
      assert.is(new Set(outcomes.map(({ position }) => position)).size, 1);
      written.appends += 1;
      written.events += batch.length;
      return;
    } catch (error) {
      if (!(error instanceof WrongExpectedRevision)) throw error;
      written.conflicts += 1;
    }
  }
}

/** Reads on from the last position it has seen, over and over, until it has `total` events. */
async function catchUpAgain(store: EventStore, total: () => number): Promise<string[]> {
  const ids: string[] = [];
  let position = 0n;
  while (ids.length < total())
    for await (const event of store.readAll(position)) {
      ids.push(event.id);
      position = event.position;
    }
  return ids;
}

function revisionsWithGaps(events: readonly RecordedEvent[]): string[] {
  const next = new Map<string, number>();
  return events.flatMap(({ stream, revision }) => {
    const expected = next.get(stream) ?? 0;
    next.set(stream, revision + 1);
    return revision === expected ? [] : [`${stream} ${revision}`];
  });
}

test.run();
