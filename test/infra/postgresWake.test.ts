/** Subscribers are woken by the commits of other processes: polling is switched off here, so that only NOTIFY can do it. */
import * as assert from 'uvu/assert';
import { NO_STREAM, type Clock } from '../../domain/ports.ts';
import { createPostgresEventStore } from '../../infra/postgresEventStore.ts';
import { aStream, follow, messages, plainCodec } from '../contracts/sampleEvents.ts';
import { suite } from '../harness.ts';
import { wallClock } from '../standins/wallClock.ts';
import { realLog, type TestLog } from './postgresStores.ts';

const test = suite('waking subscribers of other processes');
/** The polls wait at least a second, the tries to listen again begin with less. */
const POLLS_FROM_MS = 1_000;
const neverPolls: Pick<Clock, 'sleep'> = {
  sleep: (ms, signal) =>
    ms < POLLS_FROM_MS
      ? wallClock.sleep(ms, signal)
      : new Promise((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true })),
};
let log: TestLog;
test.before(async () => void (log = await realLog()));
test.after(() => log.stop());

/** Ends the connection that listens: it looks at the head and then waits. @returns how many were ended. */
async function killListener(): Promise<number> {
  const { rowCount } = await log.database.pool.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and query like '%from log_head%'`,
  );
  return rowCount ?? 0;
}

test(
  'each commit of another process comes by its notice, also after the listening connection was killed',
  async () => {
    const { database } = await log.another();
    const options = { pool: database.pool, codec: plainCodec, embedded: false, clock: neverPolls };
    const store = createPostgresEventStore(options);
    const listening = async (): Promise<void> => {
      while (!store.stats().listening) await wallClock.sleep(5);
    };
    const head = await log.store.head();
    let caughtUp = false;
    let seen = 0;
    const reader = follow(store, head, (events, slice) => {
      caughtUp ||= slice.caughtUp;
      seen = events.length;
      return events.length === 40;
    });
    while (!caughtUp) await wallClock.sleep(5);
    await listening();
    const latenciesMs: number[] = [];
    for (let i = 0; i < 40; i += 1) {
      // The next is appended while nobody listens, or after: it has to come either way.
      if (i % 10 === 9) {
        await listening();
        assert.ok((await killListener()) > 0, 'nobody was listening');
      }
      await log.store.append(aStream(), messages(1), NO_STREAM);
      const committedMs = performance.now();
      while (seen <= i) await new Promise(setImmediate);
      latenciesMs.push(performance.now() - committedMs);
    }
    await reader;
    await store.close();
    const median = latenciesMs.sort((a, b) => a - b)[20] ?? Infinity;
    assert.ok(median < 1_000, `median ${median} ms`);
  },
  { deadlineMs: 60_000 },
);

test.run();
