import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import { partsOf } from '../../domain/discussion/lineage.ts';
import type { NewEvent } from '../../domain/envelope.ts';
import { readModels } from '../../projections/readModels.ts';
import { turnQueries } from '../../projections/turnQueries.ts';
import { suite } from '../harness.ts';
import { createMemoryEventStore, type MemoryEventStore } from '../standins/memoryEventStore.ts';
import { applyAll, readModelDatabase, type ReadModelDatabase } from './readModelDatabase.ts';

const test = suite('queries for workers and the sweeper');
const AT = Date.UTC(2026, 4, 1);
const LATER = Date.UTC(2030, 0, 1);
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

test('waiting: priority, then the project with the fewest running, then age; nothing paused, claimed or not due', async () => {
  // Project a is the busy one and asked first; c has an attempt running already.
  await open('a1', 'a', 0);
  await open('a2', 'a', 0);
  await open('a3', 'a', 0);
  await open('b1', 'b', 0);
  await open('b2', 'b', 0);
  await open('urgent', 'a', 9);
  await open('paused', 'b', 9);
  await open('later', 'b', 9);
  await open('claimed', 'c', 9);
  await open('c1', 'c', 0);
  await add('paused', 'DiscussionPaused', { reason: 'requested' });
  await add('claimed', 'TurnClaimed', claim('claimed', 1));
  await add('later', 'TurnClaimed', claim('later', 1));
  await add('later', 'TurnAttemptAbandoned', abandoned('later', 1, 60_000));
  await project();
  const queries = turnQueries(database.knex);
  const order = async (now: number, limit = 20) =>
    (await queries.waiting({ now, limit })).map((turn) => nameOf(turn.discussionId));
  assert.equal(await order(AT), ['urgent', 'b1', 'a1', 'b2', 'c1', 'a2', 'a3']);
  assert.equal(await order(AT, 3), ['urgent', 'b1', 'a1']);
  assert.equal((await order(AT + 60_000)).slice(0, 2), ['urgent', 'later']);
  assert.equal(await order(AT - 1), []);
  const held = await queries.claimedBy('worker-1');
  assert.equal(
    held.map((each) => nameOf(each.discussionId)),
    ['claimed'],
  );
  assert.equal(await queries.claimedBy('worker-2'), []);
  assert.is((await queries.claimedOpen({ limit: 5 }))[0]?.fence, 3);
  await add('paused', 'DiscussionResumed', {});
  await project();
  assert.equal((await order(AT)).slice(0, 2), ['urgent', 'paused']);
});

test('the attempt of a cancelled turn is watched until it is settled, and its turn stays cancelled', async () => {
  await open('x', 'a', 0);
  await add('x', 'TurnClaimed', claim('x', 1));
  await add('x', 'TurnCancelled', { turnId: turnOf('x'), reason: 'requested' });
  await project();
  const queries = turnQueries(database.knex);
  assert.is((await queries.claimedOpen({ limit: 5 })).length, 1);
  assert.equal(await queries.waiting({ now: LATER, limit: 5 }), []);
  await add('x', 'TurnAttemptAbandoned', abandoned('x', 1, null));
  await project();
  assert.equal(await queries.claimedOpen({ limit: 5 }), []);
  const turn = await queries.one(partsOf(idOf('x'), []), turnOf('x'));
  assert.ok(turn);
  assert.is(turn.status, 'cancelled');
  assert.is(turn.attempts[0]?.reason, 'error');
});

test('overdue: participants who have not answered in time', async () => {
  await open('x', 'a', 0, { answeredBy: 'participant', answerWithinMs: 1_000 });
  await open('y', 'a', 0, { answeredBy: 'participant', answerWithinMs: null });
  await open('z', 'a', 0, { answeredBy: 'participant', answerWithinMs: 1_000 });
  await add('z', 'TurnSkipped', { turnId: turnOf('z'), reason: 'deadline' });
  await project();
  const queries = turnQueries(database.knex);
  assert.equal(await queries.overdue({ now: AT + 999, limit: 5 }), []);
  assert.equal(await queries.overdue({ now: AT + 1_000, limit: 5 }), [
    { turnId: turnOf('x'), discussionId: idOf('x'), project: 'a' },
  ]);
  assert.equal(await queries.waiting({ now: LATER, limit: 5 }), []);
});

const ids = new Map<string, string>();

function idOf(name: string): string {
  const id = ids.get(name) ?? randomUUID();
  ids.set(name, id);
  return id;
}

function nameOf(id: string): string | undefined {
  return [...ids].find(([, each]) => each === id)?.[0];
}

function turnOf(name: string): string {
  return idOf(`turn of ${name}`);
}

async function open(name: string, projectId: string, priority: number, turn: object = {}): Promise<void> {
  ids.delete(name);
  ids.delete(`turn of ${name}`);
  const participantId = idOf(`participant of ${name}`);
  const limits = { maxTurns: 9, maxTokens: 9_000, maxCostUsd: null, deadline: null, stopPhrases: [] };
  const opened = {
    projectId,
    nonce: 'n',
    title: 't',
    topic: '',
    context: {},
    policy: { kind: 'round-robin' },
    limits,
    priority,
  };
  const why = { policy: 'round-robin', policyVersion: 1, reason: 'is next', candidates: [participantId] };
  const requested = {
    turnId: turnOf(name),
    number: 1,
    participantId,
    answeredBy: 'model',
    answerWithinMs: null,
    why,
    ...turn,
  };
  await add(name, 'DiscussionOpened', opened, projectId);
  await add(name, 'ParticipantJoined', { participantId, kind: 'agent', name: 'Ada' }, projectId);
  await add(name, 'TurnRequested', requested, projectId);
}

async function add(name: string, type: string, data: object, projectId?: string): Promise<void> {
  const stream = `discussion-${idOf(name)}`;
  const there = store.events.filter((each) => each.stream === stream);
  const commandId = randomUUID();
  const event: NewEvent = {
    id: randomUUID(),
    type,
    schemaVersion: 1,
    data,
    metadata: {
      actor: { kind: 'system', id: 'test' },
      project: projectId ?? there[0]?.metadata.project ?? '',
      occurredAt: new Date(AT).toISOString(),
      commandId,
      correlationId: commandId,
    },
  };
  await store.append(stream, [event], there.length - 1);
}

function claim(name: string, attempt: number) {
  const model = { provider: 'offline', name: 'offline', digest: null };
  const made = { renderer: 'r', sha256: 'd'.repeat(64), window: null, context: [], controlTokens: [], retrieved: [] };
  const prompt = { ...made, messageChars: 20_000, agentVersion: 1, model, parameters: {} };
  return {
    turnId: turnOf(name),
    attempt,
    worker: 'worker-1',
    incarnation: 'i',
    leaseMs: 15_000,
    reserved: 100,
    prompt,
  };
}

function abandoned(name: string, attempt: number, retryAfterMs: number | null) {
  const usage = { inputTokens: 1, outputTokens: 1, source: 'reserved' };
  return { turnId: turnOf(name), attempt, reason: 'error', detail: '', usage, retryAfterMs };
}

test.run();
