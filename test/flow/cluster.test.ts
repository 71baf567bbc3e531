/** Twenty discussions over a real cluster while a worker and an API are killed: nothing is lost, doubled or left open. */
import * as assert from 'uvu/assert';
import { audited } from '../domain/discussion/invariants.ts';
import { suite } from '../harness.ts';
import type { WireEvent } from '../scripts/startProcess.ts';
import { startClusterProcess, type ClusterProcess } from './clusterProcess.ts';
import { createVisitor, type Seen, type Visitor } from './visitor.ts';

const DISCUSSIONS = 20;
const TURNS = 6;
const ENDED_WITHIN_MS = 150_000;

const test = suite('a cluster under fire');
let cluster: ClusterProcess | null = null;
test.after(async () => void (await cluster?.stop()));

interface Held {
  readonly id: string;
  readonly seen: Promise<Seen>;
  /** Texts of messages that were acknowledged. */
  readonly posted: string[];
}

test(
  'a worker and an API are killed and started again, and I1 to I8 hold',
  async () => {
    // About a second a turn: who has just claimed one is still at it when it is killed.
    cluster = await startClusterProcess(['--api', '2', '--workers', '3'], { OFFLINE_TOKENS_PER_SECOND: '60' });
    assert.equal(
      cluster.names().filter((name) => !/^eventstoredb$/.test(name)),
      ['postgres', 'nats', 'api-1', 'api-2', 'worker-1', 'worker-2', 'worker-3'],
    );
    const visitor = createVisitor(cluster.apis, cluster.token);
    const stop = new AbortController();
    const late = setTimeout(() => stop.abort(new Error('the discussions did not end in time')), ENDED_WITHIN_MS);
    try {
      const agents = await registerAgents(visitor);
      const held = await Promise.all(
        Array.from({ length: DISCUSSIONS }, (_, n) => open(visitor, agents, n, stop.signal)),
      );
      await killAtWork(cluster, visitor, stop.signal);
      const posting = postAll(visitor, held);
      await cluster.kill('api-1');
      await posting;
      await killAtWork(cluster, visitor, stop.signal);
      await check(visitor, held);
    } finally {
      clearTimeout(late);
      stop.abort();
    }
    assert.is(await cluster.stop(), 0, 'the cluster ends cleanly');
  },
  { deadlineMs: 230_000 },
);

test.run();

/** Kills a worker that has just claimed a turn. */
async function killAtWork(on: ClusterProcess, visitor: Visitor, signal: AbortSignal): Promise<void> {
  const claim = await visitor.next(({ type }) => type === 'TurnClaimed', signal);
  await on.kill(String(claim.data['worker']));
}

async function registerAgents(visitor: Visitor): Promise<string[]> {
  const ids: string[] = [];
  for (const name of ['Ada', 'Basil', 'Clara']) {
    const model = { provider: 'offline', name: 'offline', parameters: { num_predict: 60 } };
    ids.push((await visitor.call<{ id: string }>('POST', '/agents', { name, instructions: 'Be brief.', model })).id);
  }
  return ids;
}

async function open(visitor: Visitor, agents: readonly string[], n: number, signal: AbortSignal): Promise<Held> {
  const body = {
    title: `Number ${n}`,
    topic: 'What survives a sudden end?',
    participants: agents.map((agentId) => ({ agentId })),
    limits: { maxTurns: TURNS },
  };
  const { id } = await visitor.call<{ id: string }>('POST', '/discussions', body);
  const seen = visitor.watch(id, n, signal);
  seen.catch(() => undefined);
  return { id, seen, posted: [] };
}

/** A person says something in every discussion that still goes on. */
async function postAll(visitor: Visitor, held: readonly Held[]): Promise<void> {
  await Promise.all(
    held.map(async ({ id, posted }, n) => {
      const text = `A question from outside, number ${n}.`;
      const message = { content: [{ type: 'text', text }] };
      const taken = await visitor.call('POST', `/discussions/${id}/messages`, message).then(
        () => true,
        (error: unknown) => {
          // It has ended already.
          assert.match(String(error), /answered 409/);
          return false;
        },
      );
      if (taken) posted.push(text);
    }),
  );
}

async function check(visitor: Visitor, held: readonly Held[]): Promise<void> {
  const ids = new Set<string>();
  let reconnected = 0;
  let deltas = 0;
  let taken = 0;
  for (const { id, seen, posted } of held) {
    const { frames, connections, deltas: live } = await seen;
    const events = await eventsOf(visitor, id);
    // I2
    assert.equal(
      events.map(({ revision }) => revision),
      events.map((_, revision) => revision),
    );
    for (const event of events) {
      assert.not(ids.has(event.id), 'no event id occurs twice');
      ids.add(event.id);
    }
    // I3, I4, I6, I7: nothing is left open or uncounted.
    const audit = audited(events.map((event) => ({ event, atMs: Date.parse(event.occurredAt) })));
    assert.equal([audit.turns, audit.completed.size, audit.open, audit.outstanding.size], [TURNS, TURNS, null, 0]);
    assert.ok(audit.concluded);
    // I1: what was acknowledged is there once.
    const texts = events.flatMap((event) =>
      event.type === 'MessagePosted' ? [JSON.stringify(event.data.content)] : [],
    );
    for (const text of posted) assert.is(texts.filter((each) => each.includes(text)).length, 1);
    assert.is(texts.length, posted.length);
    await checkReadModels(visitor, id, events);
    // I8
    assert.equal(
      frames.map(({ data }) => data),
      events,
    );
    reconnected += connections - 1;
    deltas += live;
    taken += events.filter((event) => event.type === 'TurnAttemptAbandoned').length;
  }
  console.log(
    `${ids.size} events, ${taken} attempts lost with their workers, ${reconnected} streams resumed, ${deltas} deltas seen`,
  );
  assert.ok(taken > 0, 'a kill must have met an attempt under way');
  assert.ok(reconnected > 0, 'a kill must have cut a stream');
  assert.ok(deltas > DISCUSSIONS * TURNS, 'viewers saw what workers of other processes wrote');
}

/** I5: what the read models show is what the events say. */
async function checkReadModels(visitor: Visitor, id: string, events: readonly WireEvent[]): Promise<void> {
  const fresh = { 'consistency-token': `p${events.at(-1)?.position}`, prefer: 'wait=20' };
  const get = <T>(path: string) => visitor.call<T>('GET', path, undefined, fresh);
  const discussion = await get<{ status: string; revision: number }>(`/discussions/${id}`);
  assert.equal([discussion.status, discussion.revision], ['concluded', events.length - 1]);
  const messages = await get<{ data: { content: unknown }[] }>(`/discussions/${id}/messages?limit=200`);
  const said = events.filter((event) => event.type === 'MessagePosted' || event.type === 'TurnCompleted');
  assert.equal(
    messages.data.map(({ content }) => content),
    said.map(({ data }) => data.content),
  );
  const turns = await get<{ data: { number: number; status: string }[] }>(`/discussions/${id}/turns?limit=200`);
  assert.equal(
    turns.data.map(({ number, status }) => `${number} ${status}`).sort(),
    Array.from({ length: TURNS }, (_, i) => `${i + 1} completed`),
  );
}

async function eventsOf(visitor: Visitor, id: string): Promise<WireEvent[]> {
  const { data } = await visitor.call<{ data: WireEvent[] }>('GET', `/discussions/${id}/events?limit=200`);
  return data;
}
