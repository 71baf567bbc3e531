/** The read model `passages`: what was said, in chunks. */
import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { textOf } from '../../domain/content.ts';
import { chunksOf } from '../../domain/meaning/chunker.ts';
import type { Passage } from '../../domain/meaning/vectorIndex.ts';
import { foldRows, knownEvent } from '../../projections/fold.ts';
import { passageIdOf, passageIdsIn, passages, passagesIn } from '../../projections/passages.ts';
import type { LogEvent } from '../../projections/projection.ts';
import { suite } from '../harness.ts';
import { createMemoryEventStore } from '../standins/memoryEventStore.ts';
import { appendAll, history, type Batch } from './events.ts';
import { applyAll, assertEqualsFold, readModelDatabase, type ReadModelDatabase } from './readModelDatabase.ts';

const test = suite('passages');
const licence = readFileSync(new URL('../vectors/apache-2.0.txt', import.meta.url), 'utf8');
let database: ReadModelDatabase;
test.before(async () => void (database = await readModelDatabase()));
test.before.each(() => database.empty());
test.after(() => database.stop());

/** Discussions about a document, where some messages are long and some are blank. */
function talk(seed: number): Batch[] {
  let messages = 0;
  const changed = (data: object): object => {
    if ('context' in data) return { ...data, context: { text: licence } };
    if (!('content' in data)) return data;
    messages += 1;
    const text = messages % 7 === 0 ? licence.slice(messages * 10, 3_000) : messages % 11 === 0 ? ' \n ' : null;
    return text === null
      ? data
      : {
          ...data,
          content: [
            { type: 'text', text },
            { type: 'text', text: 'and so on 🫖' },
          ],
        };
  };
  return history({ seed, discussions: 3, batches: 120 }).map((batch) => ({
    ...batch,
    events: batch.events.map((event) => ({ ...event, data: changed(event.data as object) })),
  }));
}

async function aLog(batches: readonly Batch[]) {
  const store = createMemoryEventStore();
  await appendAll(store, batches);
  const events = store.events.map(knownEvent).filter((event) => event !== null);
  return { store, events };
}

const agentOf = (participantId: string) => `agent of ${participantId}`;

function saidIn(event: LogEvent): string | null {
  if (event.type === 'MessagePosted' || event.type === 'TurnCompleted') return textOf(event.data.content);
  return event.type === 'DiscussionOpened' ? (event.data.context.text ?? null) : null;
}

test('an event’s passages are the chunks of its text, with their places and ids', async () => {
  const { events } = await aLog(talk(1));
  const numbers = new Set<number>();
  for (const event of events) {
    const text = saidIn(event);
    const there = passagesIn(event, agentOf);
    numbers.add(there.length);
    assert.equal(
      there.map(({ passageId }) => passageId),
      passageIdsIn(event),
    );
    assert.equal(
      there.map(({ starts, ends }) => ({ starts, ends })),
      chunksOf(text ?? ''),
    );
    for (const [chunk, passage] of there.entries()) {
      assert.is(passage.passageId, passageIdOf(event.id, chunk));
      assert.is(passage.text, text?.slice(passage.starts, passage.ends));
      assert.is(passage.kind, event.type === 'DiscussionOpened' ? 'document' : 'message');
      assert.equal(
        [passage.revision, passage.position, passage.at],
        [event.revision, `${event.position}`, event.metadata.occurredAt],
      );
      const author =
        event.type === 'TurnCompleted'
          ? event.data.participantId
          : event.type === 'MessagePosted'
            ? event.data.author.participantId
            : undefined;
      assert.is(passage.agentId, author === undefined ? null : agentOf(author));
    }
  }
  assert.ok(numbers.has(0) && numbers.has(1) && Math.max(...numbers) > 20);
  assert.is(
    passageIdOf('5d0f6a52-0f6c-5ab4-9d24-6f1a4c3f4a11', 3),
    'bd4f0dce-598f-5e35-b93a-f86bfe4f7618',
    'the same for ever',
  );
});

for (const seed of [2, 3])
  test(`I5: tables equal the fold of the log, seed ${seed}`, async () => {
    const { store } = await aLog(talk(seed));
    const { faults } = await applyAll({ knex: database.knex, store, projections: [passages] });
    assert.equal(faults, []);
    await assertEqualsFold(database.knex, [passages], store.events);
  });

test('agents are named by what they said, people and documents have none', async () => {
  const { store, events } = await aLog(talk(4));
  const agents = new Map<string, string | undefined>();
  for (const { type, data } of events) if (type === 'ParticipantJoined') agents.set(data.participantId, data.agentId);
  await applyAll({ knex: database.knex, store, projections: [passages] });
  const rows = await database
    .knex('passages_s1')
    .select<{ event_id: string; agent_id: string | null }[]>('event_id', 'agent_id');
  const counts = { agents: 0, others: 0 };
  for (const { event_id: id, agent_id: agentId } of rows) {
    const event = events.find((each) => each.id === id);
    const author =
      event?.type === 'TurnCompleted'
        ? event.data.participantId
        : event?.type === 'MessagePosted'
          ? event.data.author.participantId
          : undefined;
    assert.is(agentId, (author === undefined ? undefined : agents.get(author)) ?? null);
    counts[agentId === null ? 'others' : 'agents'] += 1;
  }
  assert.ok(counts.agents > 10 && counts.others > 10, JSON.stringify(counts));
});

test('a turn completed by nobody who joined parks its discussion only', async () => {
  const batches = talk(5);
  const odd = batches.find(({ events }) => events.some(({ type }) => type === 'TurnCompleted'));
  const stranger = '5d0f6a52-0f6c-4ab4-9d24-6f1a4c3f4a11';
  const strange = batches.map((batch) =>
    batch === odd
      ? {
          ...batch,
          events: batch.events.map((event) =>
            event.type === 'TurnCompleted'
              ? { ...event, data: { ...(event.data as object), participantId: stranger } }
              : event,
          ),
        }
      : batch,
  );
  const { store } = await aLog(strange);
  await applyAll({ knex: database.knex, store, projections: [passages] });
  const letters = await database.knex('dead_letters').select<{ stream: string; error: string }[]>('stream', 'error');
  assert.equal(
    letters.map(({ stream }) => stream),
    [odd?.stream],
  );
  assert.match(letters[0]?.error ?? '', /nobody who has joined/);
  await assertEqualsFold(database.knex, [passages], store.events);
  const folded = [...(foldRows(passages, store.events).get('passages')?.values() ?? [])] as Passage[];
  assert.is(new Set(folded.map(({ stream }) => stream)).size, 3);
});

test('a text of 200,000 characters is cut once, not once for each of its chunks', async () => {
  const { events } = await aLog(talk(6));
  const opened = events.find(({ type }) => type === 'DiscussionOpened');
  if (opened?.type !== 'DiscussionOpened') throw new Error('a discussion begins with its opening');
  const long = { ...opened, data: { ...opened.data, context: { text: licence.repeat(20).slice(0, 200_000) } } };
  const started = performance.now();
  const [table] = passages.tables;
  const rows = table?.keysOf(long).map((key) => table.evolve(null, long, key, () => null));
  assert.ok((rows?.length ?? 0) > 400);
  assert.ok(performance.now() - started < 4_000);
});

test.run();
