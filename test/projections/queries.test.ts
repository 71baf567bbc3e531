import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import { partsOf } from '../../domain/discussion/lineage.ts';
import { streamId } from '../../domain/envelope.ts';
import { agentQueries, type AgentRow } from '../../projections/agents.ts';
import { commandQueries } from '../../projections/commands.ts';
import { discussionQueries, type DiscussionRow } from '../../projections/discussions.ts';
import { messageQueries, type MessageRow } from '../../projections/messages.ts';
import { readModels } from '../../projections/readModels.ts';
import { turnQueries } from '../../projections/turnQueries.ts';
import type { TurnRow } from '../../projections/turns.ts';
import { usageQueries } from '../../projections/usage.ts';
import { suite } from '../harness.ts';
import { createMemoryEventStore, type MemoryEventStore } from '../standins/memoryEventStore.ts';
import { appendAll, history } from './events.ts';
import { applyAll, readModelDatabase, startRunner, type ReadModelDatabase } from './readModelDatabase.ts';

const test = suite('queries of the read models');
let database: ReadModelDatabase;
let store: MemoryEventStore;
test.before(async () => void (database = await readModelDatabase()));
test.before.each(async () => {
  await database.empty();
  store = createMemoryEventStore();
});
test.after(() => database.stop());

async function project(): Promise<void> {
  await applyAll({ knex: database.knex, store, projections: readModels });
}

async function projectHistory(seed: number, batches = 600): Promise<void> {
  await appendAll(store, history({ seed, discussions: 4, batches }));
  await project();
}

/** Every row, page by page. */
async function paged<R>(page: (last: R | undefined) => Promise<R[]>): Promise<R[]> {
  const all: R[] = [];
  for (;;) {
    const rows = await page(all.at(-1));
    if (rows.length === 0) return all;
    all.push(...rows);
  }
}

test('agents: an old version by a point read, lists by page', async () => {
  await projectHistory(30);
  const queries = agentQueries(database.knex);
  const all = await paged((last?: AgentRow) =>
    queries.list({ projects: null, limit: 2, ...(last ? { before: last.registeredPosition } : {}) }),
  );
  assert.is(all.length, 3);
  const revised = all.find((each) => each.version > 1);
  assert.ok(revised);
  assert.equal((await queries.one(revised.id))?.instructions, `Version ${revised.version} of "Ada" – ✓`);
  assert.equal((await queries.version(revised.id, 1))?.instructions, 'Version 1 of "Ada" – ✓');
  assert.is(await queries.version(revised.id, revised.version + 1), null);
  assert.is(await queries.one(randomUUID()), null);
  assert.equal(await queries.list({ projects: ['elsewhere'], limit: 10 }), []);
  assert.is((await queries.list({ projects: ['default'], retired: false, limit: 10 })).length, 3);
});

test('discussions: lists by project and status, newest first, and those past their deadline', async () => {
  await projectHistory(31, 60);
  const queries = discussionQueries(database.knex);
  const all = await paged((last?: DiscussionRow) =>
    queries.list({ projects: null, limit: 2, ...(last ? { before: last.openedPosition } : {}) }),
  );
  assert.is(all.length, 4);
  assert.equal(
    all,
    [...all].sort((a, b) => Number(b.openedPosition) - Number(a.openedPosition)),
  );
  const mine = await queries.list({ projects: ['project-1'], limit: 10 });
  assert.equal(
    mine,
    all.filter((each) => each.project === 'project-1'),
  );
  const open = await queries.list({ projects: null, status: 'open', limit: 10 });
  assert.equal(
    open,
    all.filter((each) => each.status === 'open'),
  );
  const [first] = all;
  assert.ok(first);
  assert.equal(await queries.one(first.id), first);
  assert.is(first.participants.length, 4);
  const due = await queries.pastDeadline({ now: Date.parse('2026-02-03T02:05:06Z'), limit: 10 });
  const expected = all.filter((each) => each.deadline !== null && each.status !== 'concluded').map((each) => each.id);
  assert.equal(due.map((each) => each.id).sort(), expected.sort());
  assert.ok(expected.length > 0);
  assert.equal(await queries.pastDeadline({ now: Date.parse('2026-02-03T02:05:05Z'), limit: 10 }), []);
});

test('messages: both ways by page, with the names of who spoke', async () => {
  await projectHistory(32);
  const queries = messageQueries(database.knex);
  const id = streamId(store.events.find((event) => event.type === 'MessagePosted')?.stream ?? '');
  const said = store.events.filter(
    (e) => streamId(e.stream) === id && (e.type === 'MessagePosted' || e.type === 'TurnCompleted'),
  );
  const there = await paged((last?: MessageRow) =>
    queries.byDiscussion(partsOf(id, []), { limit: 3, ...(last ? { after: last.revision } : {}) }),
  );
  assert.equal(
    there.map((each) => each.revision),
    said.map((each) => each.revision),
  );
  const back = await paged((last?: MessageRow) =>
    queries.byDiscussion(partsOf(id, []), { limit: 3, backwards: true, ...(last ? { after: last.revision } : {}) }),
  );
  assert.equal(back, [...there].reverse());
  const kinds = new Set(there.map((each) => `${each.author.kind} ${each.author.name}`));
  for (const kind of ['agent Ada', 'agent Bo', 'external Cy', 'person Passer-by', 'person Di'])
    assert.ok(kinds.has(kind), kind);
  const turn = there.find((each) => each.turnId !== null);
  assert.ok(turn?.turnNumber);
  assert.is(turn.finishReason, 'end_turn');
  const posted = there.find((each) => each.turnId === null);
  assert.is(posted?.text, 'one\ntwo');
  const { index, ...row } = turn;
  assert.equal([await queries.one(id, turn.messageId), index], [row, row.revision]);
  assert.is(await queries.one(randomUUID(), turn.messageId), null);
});

test('turns: by page, one, and what each attempt came to', async () => {
  await projectHistory(33);
  const queries = turnQueries(database.knex);
  const retried = store.events.find((e) => e.type === 'TurnClaimed' && (e.data as { attempt: number }).attempt === 2);
  assert.ok(retried);
  const id = streamId(retried.stream);
  const all = await paged((last?: TurnRow) =>
    queries.byDiscussion(partsOf(id, []), { limit: 4, ...(last ? { after: last.number } : {}) }),
  );
  assert.equal(
    all.map((each) => each.number),
    all.map((_, i) => i + 1),
  );
  const turn = await queries.one(partsOf(id, []), (retried.data as { turnId: string }).turnId);
  assert.ok(turn);
  assert.is(turn.attempts[0]?.reason, 'error');
  assert.is(turn.attempts[0]?.partial, 'half a sent');
  assert.is(turn.attempts[1]?.fence, retried.revision);
  assert.is(turn.attempts[1]?.promptSha256, 'c'.repeat(64));
  assert.is(await queries.one(partsOf(randomUUID(), []), turn.turnId), null);
});

test('usage: sums agree with the log, each attempt once', async () => {
  await projectHistory(34);
  const queries = usageQueries(database.knex);
  const id = streamId(store.events.find((event) => event.type === 'TurnAttemptAbandoned')?.stream ?? '');
  const ends = store.events.filter(
    (e) => streamId(e.stream) === id && (e.type === 'TurnCompleted' || e.type === 'TurnAttemptAbandoned'),
  );
  const used = ends.map((e) => (e.data as { usage: { inputTokens: number; outputTokens: number } }).usage);
  const inputTokens = used.reduce((sum, each) => sum + each.inputTokens, 0);
  const whole = await queries.ofDiscussion(partsOf(id, []));
  assert.is(whole.attempts, ends.length);
  assert.is(whole.inputTokens, inputTokens);
  const discussion = await discussionQueries(database.knex).one(id);
  assert.ok(discussion);
  assert.is(discussion.inputTokens, inputTokens);
  assert.is(discussion.outputTokens, whole.outputTokens);
  for (const parts of [await queries.byParticipant(partsOf(id, [])), await queries.byModel(partsOf(id, []))])
    assert.is(
      parts.reduce((sum, each) => sum + each.inputTokens, 0),
      inputTokens,
    );
  assert.ok((await queries.byModel(partsOf(id, []))).some((each) => each.model === 'offline'));
  assert.ok((await queries.byParticipant(partsOf(id, []))).every((each) => each.participantId !== null));
  assert.is((await queries.ofDiscussion(partsOf(randomUUID(), []))).attempts, 0);
});

test('commands: what a command did, and how far the log was looked through', async () => {
  assert.ok((await unready()).checkpoint === 0n);
  await projectHistory(35);
  const queries = commandQueries(database.knex);
  const event = store.events.find((each) => each.type === 'ParticipantJoined');
  assert.ok(event);
  const { row, checkpoint } = await queries.find(event.metadata.commandId);
  const own = store.events.filter((each) => each.metadata.commandId === event.metadata.commandId);
  assert.is(checkpoint, await store.head());
  assert.ok(row);
  assert.is(row.stream, event.stream);
  assert.is(row.firstRevision, own[0]?.revision);
  assert.is(row.lastRevision, own.at(-1)?.revision);
  assert.is(row.lastPosition, `${own.at(-1)?.position}`);
  assert.equal(await queries.find(randomUUID()), { row: null, checkpoint });
});

async function unready() {
  const runner = await startRunner({ knex: database.knex, store, projections: readModels });
  await runner.stop();
  return commandQueries(database.knex).find(randomUUID());
}

test.run();
