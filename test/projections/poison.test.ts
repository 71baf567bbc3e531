import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { NewEvent } from '../../domain/envelope.ts';
import { streamId } from '../../domain/envelope.ts';
import type { EventStore } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import { agents } from '../../projections/agents.ts';
import { discussions } from '../../projections/discussions.ts';
import type { Projection, Table } from '../../projections/projection.ts';
import { readModels } from '../../projections/readModels.ts';
import { runProjections } from '../../projections/run.ts';
import { suite } from '../harness.ts';
import { createMemoryEventStore } from '../standins/memoryEventStore.ts';
import { wallClock } from '../standins/wallClock.ts';
import { appendAll, history } from './events.ts';
import {
  applyAll,
  assertEqualsFold,
  readModelDatabase,
  startRunner,
  type ReadModelDatabase,
} from './readModelDatabase.ts';

const test = suite('runProjections with bad events and foreign logs');
let database: ReadModelDatabase;
test.before(async () => void (database = await readModelDatabase()));
test.before.each(() => database.empty());
test.after(() => database.stop());

type TitleRow = { id: string; title: string };

/** Titles of discussions; throws at, or makes unstorable, the messages of one discussion. */
function titles(onMessage: (id: string) => string): Projection {
  const table: Table<TitleRow> = {
    name: 'titles',
    columns: { id: 'text', title: 'text' },
    key: 'id',
    keysOf: (event) => [streamId(event.stream)],
    evolve(row, event, id) {
      if (event.type === 'DiscussionOpened') return { id, title: event.data.title };
      return row && event.type === 'MessagePosted' ? { id, title: onMessage(id) } : row;
    },
  };
  return { name: 'titles', schemaVersion: 1, tables: [table] };
}

interface Letter {
  readonly stream: string;
  readonly position: string;
  readonly event_id: string;
  readonly type: string;
  readonly error: string;
  readonly later_events: string;
}

async function aLog() {
  const store = createMemoryEventStore();
  await appendAll(store, history({ seed: 20, discussions: 6, batches: 300 }));
  const first = store.events.find((event) => event.type === 'MessagePosted');
  if (first === undefined) throw new Error('no message in the history');
  const later = store.events.filter((e) => e.stream === first.stream && e.revision > first.revision).length;
  return { store, first, later };
}

for (const inBatches of [true, false])
  test(`an event that evolve throws at parks its stream, others go on, ${inBatches ? 'in batches' : 'one by one'}`, async () => {
    const { store: log, first, later } = await aLog();
    const poisoned = titles((id) => {
      if (id === streamId(first.stream)) throw new Error('cannot be read');
      return 'posted';
    });
    const store = inBatches ? log : createMemoryEventStore();
    const runner = await startRunner({ knex: database.knex, store, projections: [poisoned, discussions] });
    if (!inBatches)
      for (const event of log.events) {
        await store.append(event.stream, [event], event.revision - 1);
        await delay(0);
      }
    assert.ok(await runner.waitFor(await store.head(), ['titles', 'discussions'], { timeoutMs: 5_000 }));
    await runner.stop();
    const letters = await database.knex<Letter>('dead_letters').select();
    assert.is(letters.length, 1);
    const { stream, position, event_id, type, error, later_events } = letters[0] ?? ({} as Letter);
    const event = store.events.find((each) => each.id === first.id);
    assert.equal(
      { stream, position, event_id, type, error, later_events },
      {
        stream: first.stream,
        position: `${event?.position}`,
        event_id: first.id,
        type: 'MessagePosted',
        error: 'cannot be read',
        later_events: `${later}`,
      },
    );
    await assertEqualsFold(database.knex, [poisoned, discussions], store.events);
  });

test('a row that PostgreSQL does not take parks its stream, found within a large batch', async () => {
  const { store, first, later } = await aLog();
  const poisoned = titles((id) => (id === streamId(first.stream) ? 'a \u0000 title' : 'posted'));
  await applyAll({ knex: database.knex, store, projections: [discussions, poisoned] });
  const letters = await database.knex<Letter>('dead_letters').select();
  assert.is(letters.length, 1);
  assert.is(letters[0]?.event_id, first.id);
  assert.is(letters[0]?.later_events, `${later}`);
  await assertEqualsFold(database.knex, [discussions], store.events);
  const good = titles((id) => {
    if (id === streamId(first.stream)) throw new Error('as the database did');
    return 'posted';
  });
  await assertEqualsFold(database.knex, [good], store.events);
});

test('unknown types are passed over, a newer schema of a known type parks', async () => {
  const store = createMemoryEventStore();
  await appendAll(store, history({ seed: 21, discussions: 2, batches: 20 }));
  const strange = unlike(store, (event) => {
    if (event.type === 'TurnRequested') return { ...event, type: 'TurnImagined' };
    return event.type === 'MessagePosted' ? { ...event, schemaVersion: 99 } : event;
  });
  await applyAll({ knex: database.knex, store: strange, projections: [discussions] });
  const letters = await database.knex<Letter>('dead_letters').select();
  assert.ok(letters.length > 0);
  for (const { type, error } of letters) {
    assert.is(type, 'MessagePosted');
    assert.match(error, /schema version 99/);
  }
});

/** The same log as a program would see it that knows other events. */
function unlike<T extends EventStore>(store: T, change: <E extends NewEvent>(event: E) => E): EventStore {
  return {
    append: (...args) => store.append(...args),
    read: (...args) => store.read(...args),
    readAll: (...args) => store.readAll(...args),
    readStored: (...args) => store.readStored(...args),
    head: () => store.head(),
    lineage: () => store.lineage(),
    async *subscribe(after, options) {
      for await (const slice of store.subscribe(after, options))
        yield { ...slice, events: slice.events.map((event) => change(event)) };
    },
  };
}

test('refuses a log restored to an older state, also when it has grown again', async () => {
  const all = history({ seed: 22, discussions: 2, batches: 40 });
  const store = createMemoryEventStore();
  await appendAll(store, all);
  await applyAll({ knex: database.knex, store, projections: readModels });
  const older = createMemoryEventStore();
  await appendAll(older, all.slice(0, 20));
  const start = (log: EventStore) =>
    runProjections({
      knex: database.knex,
      store: log,
      clock: wallClock,
      projections: readModels,
      signal: new AbortController().signal,
    });
  await refused(start(older));
  await appendAll(older, history({ seed: 23, discussions: 3, batches: 200 }));
  await refused(start(older));
  await applyAll({ knex: database.knex, store, projections: readModels });
});

async function refused(promise: Promise<unknown>): Promise<void> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  assert.instance(error, Refusal);
  assert.match(error instanceof Error ? error.message : '', /another log/);
}

test('waitFor gives up in time, at an abort, and for a read model that nobody runs', async () => {
  const store = createMemoryEventStore();
  const runner = await startRunner({ knex: database.knex, store, projections: [agents] });
  const position = await appendAll(store, history({ seed: 24, discussions: 1, batches: 1 }));
  assert.is(await runner.waitFor(position, ['agents'], { timeoutMs: 5_000 }), true);
  assert.is(await runner.waitFor(position + 1n, ['agents'], { timeoutMs: 60 }), false);
  assert.is(await runner.waitFor(position, ['agents', randomUUID()], { timeoutMs: 60 }), false);
  const started = performance.now();
  const signal = AbortSignal.timeout(50);
  assert.is(await runner.waitFor(position + 1n, ['agents'], { timeoutMs: 5_000, signal }), false);
  assert.is(await runner.waitFor(position + 1n, ['agents'], { timeoutMs: 5_000, signal }), false);
  assert.ok(performance.now() - started < 3_000);
  await runner.stop();
});

test('an idle runner notices that a crash took its last commits', async () => {
  const store = createMemoryEventStore();
  await appendAll(store, history({ seed: 25, discussions: 2, batches: 40 }));
  const stopping = new AbortController();
  // Real time made short: only long sleeps are of interest here.
  const clock = {
    ...wallClock,
    sleep: (ms: number, signal?: AbortSignal) => wallClock.sleep(Math.min(ms, 50), signal),
  };
  const runner = await runProjections({
    knex: database.knex,
    store,
    clock,
    projections: [agents],
    signal: stopping.signal,
  });
  const head = await store.head();
  const checkpoint = () => database.knex('projections').where({ position: head.toString() });
  while ((await checkpoint()).length === 0) await delay(10);
  await database.knex.raw('truncate agents_v1, agents_versions_v1');
  await database.knex('projections').update({ position: 0, event_id: null, event_stream: null, event_revision: null });
  while ((await checkpoint()).length === 0) await delay(10);
  stopping.abort();
  await runner.finished;
  await assertEqualsFold(database.knex, [agents], store.events);
});

test.run();
