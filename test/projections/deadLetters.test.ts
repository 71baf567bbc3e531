import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import type { RecordedEvent } from '../../domain/envelope.ts';
import { streamId } from '../../domain/envelope.ts';
import { Refusal } from '../../domain/refusal.ts';
import { deadLetterQueries, sampleLetters, type DeadLetter } from '../../projections/deadLetters.ts';
import { settleLetter, type Decision } from '../../projections/deadLettersSettle.ts';
import { discussions } from '../../projections/discussions.ts';
import type { Projection, Table } from '../../projections/projection.ts';
import { suite } from '../harness.ts';
import { createMemoryEventStore } from '../standins/memoryEventStore.ts';
import { appendAll, history } from './events.ts';
import {
  applyAll,
  assertEqualsFold,
  embeddedReadModels,
  readModelDatabase,
  startRunner,
  type ReadModelDatabase,
} from './readModelDatabase.ts';

let database: ReadModelDatabase;

const retry: Decision = { kind: 'retry', by: 'user:ada' };
const skip: Decision = { kind: 'skip', by: 'user:ada', reason: 'written by a bug' };
const never = new AbortController().signal;

type CountRow = { id: string; events: number; last: number; text: string };

/** Counts a discussion's events, so that one that is lost, doubled or out of order shows; `bad` may throw or spoil a row. */
function counting(bad: (event: { id: string }) => string): Projection {
  const table: Table<CountRow> = {
    name: 'counting',
    columns: { id: 'text', events: 'integer', last: 'integer', text: 'text' },
    key: 'id',
    keysOf: (event) => (event.stream.startsWith('discussion-') ? [streamId(event.stream)] : []),
    evolve(row, event, id) {
      if (row !== null && event.revision <= row.last) throw new Error(`event ${event.revision} came after ${row.last}`);
      // A spoiled text stays, so that no later event of the batch hides it from the database.
      const text = row?.text.includes('\u0000') ? row.text : bad(event);
      return { id, events: (row?.events ?? 0) + 1, last: event.revision, text };
    },
  };
  return { name: 'counting', schemaVersion: 1, tables: [table] };
}

async function aLog(seed = 31) {
  const store = createMemoryEventStore();
  await appendAll(store, history({ seed, discussions: 4, batches: 200 }));
  const long = store.events.filter(({ stream }) => stream.startsWith('discussion-')).at(-1)?.stream ?? '';
  const own = store.events.filter(({ stream }) => stream === long);
  return { store, own };
}

const at = (events: readonly RecordedEvent[], index: number): RecordedEvent => {
  const event = events[index];
  if (event === undefined) throw new Error('the stream is too short');
  return event;
};

async function onlyLetter(status: 'waiting' | 'skipped' = 'waiting'): Promise<DeadLetter> {
  const letters = await deadLetterQueries(database.knex).list({ status, limit: 10 });
  assert.is(letters.length, 1, JSON.stringify(letters));
  return letters[0] as DeadLetter;
}

async function refusedWith(work: Promise<unknown>, code: string): Promise<void> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  assert.instance(error, Refusal);
  assert.is(error instanceof Refusal ? error.code : '', code);
}

for (const [where, open] of [
  ['PostgreSQL', readModelDatabase],
  ['the embedded database', embeddedReadModels],
] as const) {
  const test = suite(`dead letters in ${where}`);
  test.before(async () => void (database = await open()));
  test.before.each(() => database.empty());
  test.after(() => database.stop());

  test('retry applies the event and all that waited, in order; the letter is gone and solved', async () => {
    const { store, own } = await aLog();
    const poison = at(own, 3);
    let broken = true;
    const model = counting(({ id }) => {
      if (broken && id === poison.id) throw new Error('cannot be read');
      return 'fine';
    });
    const options = { knex: database.knex, store, projections: [model, discussions] };
    await applyAll(options);
    const letter = await onlyLetter();
    assert.equal([letter.eventId, letter.live, letter.laterEvents], [poison.id, true, own.length - 4]);
    assert.is((await sampleLetters(database.knex)).letters, 1);

    const again = await settleLetter(options, letter.id, retry, never);
    assert.equal([again.applied, again.letter?.id, again.letter?.attempts], [0, letter.id, 2]);
    broken = false;
    const done = await settleLetter(options, letter.id, retry, never);
    assert.equal(done, { applied: own.length - 3, letter: null });
    await assertEqualsFold(database.knex, [model, discussions], store.events);
    await refusedWith(settleLetter(options, letter.id, retry, never), 'conflict');
    await refusedWith(settleLetter(options, randomUUID(), retry, never), 'not-found');
    assert.equal(await sampleLetters(database.knex), { letters: 0, oldestSeconds: 0 });
  });

  test('stops at the next event that fails, which becomes the letter', async () => {
    const { store, own } = await aLog(32);
    const bad = new Set([at(own, 2).id, at(own, 6).id]);
    const model = counting(({ id }) => {
      if (bad.has(id)) throw new Error('cannot be read');
      return 'fine';
    });
    const options = { knex: database.knex, store, projections: [model] };
    await applyAll(options);
    const first = await onlyLetter();
    bad.delete(first.eventId);
    const { applied, letter } = await settleLetter(options, first.id, retry, never);
    assert.is(applied, 4);
    assert.equal(
      [letter?.eventId, letter?.attempts, letter?.laterEvents],
      [at(own, 6).id, 1, own.length - 7],
      'a letter of its own',
    );
    assert.is.not(letter?.id, first.id);
    await assertEqualsFold(database.knex, [model], store.events);
  });

  test('skip passes over one event for ever: the fold, a table built anew and a later version do so, too', async () => {
    const { store, own } = await aLog(33);
    const poison = at(own, 4);
    const model = counting(({ id }) => {
      if (id === poison.id) throw new Error('cannot be read');
      return 'fine';
    });
    const options = { knex: database.knex, store, projections: [model] };
    await applyAll(options);
    const { id } = await onlyLetter();
    assert.equal(await settleLetter(options, id, skip, never), { applied: own.length - 5, letter: null });
    const kept = await onlyLetter('skipped');
    assert.equal([kept.id, kept.skipped?.by, kept.skipped?.reason], [id, 'user:ada', 'written by a bug']);
    await assertEqualsFold(database.knex, [model], store.events);
    await refusedWith(settleLetter(options, id, retry, never), 'conflict');

    await database.knex.raw('drop table counting_v1 cascade');
    await applyAll(options);
    const later = { ...model, schemaVersion: 2 };
    await applyAll({ ...options, projections: [later] });
    assert.equal(await deadLetterQueries(database.knex).list({ status: 'waiting', limit: 10 }), []);
    await assertEqualsFold(database.knex, [model, later], store.events);
  });

  test('an event whose row PostgreSQL does not take is found among those that waited', async () => {
    const { store, own } = await aLog(34);
    const [first, second] = [at(own, 1), at(own, own.length - 3)];
    let broken = true;
    const model = counting(({ id }) => {
      if (broken && id === first.id) throw new Error('cannot be read');
      return id === second.id ? 'a \u0000 text' : 'fine';
    });
    const options = { knex: database.knex, store, projections: [model] };
    await applyAll(options);
    broken = false;
    const { letter } = await settleLetter(options, (await onlyLetter()).id, retry, never);
    assert.equal([letter?.eventId, letter?.laterEvents], [second.id, 2]);
    const { rows } = await database.knex.raw<{ rows: { events: number }[] }>(
      'select events from counting_v1 where id = ?',
      [streamId(first.stream)],
    );
    assert.is(rows[0]?.events, second.revision, 'everything before it was applied');
  });

  test('a runner that writes all the time loses nothing and doubles nothing, in the stream and beside it', async () => {
    const store = createMemoryEventStore();
    const all = history({ seed: 35, discussions: 5, batches: 500 });
    const half = Math.floor(all.length / 2);
    await appendAll(store, all.slice(0, half));
    const own = store.events.filter(({ stream }) => stream.startsWith('discussion-'));
    const poison = own.find(({ stream }) => all.slice(half).some((batch) => batch.stream === stream));
    let broken = true;
    const model = counting(({ id }) => {
      if (broken && id === poison?.id) throw new Error('cannot be read');
      return 'fine';
    });
    const options = { knex: database.knex, store, projections: [model, discussions] };
    const runner = await startRunner(options);
    assert.ok(await runner.waitFor(await store.head(), ['counting'], { timeoutMs: 5_000 }));
    const { id } = await onlyLetter();
    broken = false;
    const settling: Promise<unknown>[] = [];
    for (const [i, batch] of all.slice(half).entries()) {
      await appendAll(store, [batch]);
      if (i === 20) settling.push(settleLetter(options, id, retry, never));
    }
    assert.equal(await Promise.all(settling.map((each) => each.then((done) => (done as { letter: unknown }).letter))), [
      null,
    ]);
    assert.ok(await runner.waitFor(await store.head(), ['counting', 'discussions'], { timeoutMs: 5_000 }));
    await runner.stop();
    assert.equal(runner.faults, []);
    assert.equal(await deadLetterQueries(database.knex).list({ limit: 10 }), []);
    await assertEqualsFold(database.knex, [model, discussions], store.events);
  });

  test('of two who settle one letter at once, one is told that it is done', async () => {
    const { store, own } = await aLog(36);
    let broken = true;
    const model = counting(({ id }) => {
      if (broken && id === at(own, 2).id) throw new Error('cannot be read');
      return 'fine';
    });
    const options = { knex: database.knex, store, projections: [model] };
    await applyAll(options);
    const { id } = await onlyLetter();
    broken = false;
    const both = await Promise.allSettled([
      settleLetter(options, id, retry, never),
      settleLetter(options, id, retry, never),
    ]);
    assert.is(both.filter(({ status }) => status === 'fulfilled').length, 1);
    await assertEqualsFold(database.knex, [model], store.events);
  });

  test.run();
}
