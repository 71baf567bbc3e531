/** A replay over SSE: the recorded events in order at the chosen speed, and the hash of the state they make. */
import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import { discussions } from '../../commands/aggregate.ts';
import { readLineage } from '../../commands/lineage.ts';
import { refresh } from '../../commands/states.ts';
import { playReplay } from '../../api/replay.ts';
import type { SseConnection } from '../../api/sse.ts';
import { createReplay, stateHash } from '../../domain/discussion/replay.ts';
import { createRemote, type Frame } from '../../scripts/remote.ts';
import { suite } from '../harness.ts';
import { history } from '../projections/events.ts';
import { createMemoryEventStore } from '../standins/memoryEventStore.ts';
import { startServiceForTests, type TestService } from './serviceForTests.ts';
import { expected, logOf, quietDiscussion, shown, talkingDiscussion } from './serviceScenes.ts';

const test = suite('replay over SSE');
let on: TestService;
test.before(async () => {
  on = await startServiceForTests();
});
test.after(async () => {
  await on.stop();
});

async function framesOf(path: string, lastEventId?: string): Promise<Frame[]> {
  const frames: Frame[] = [];
  const remote = createRemote(on.url, on.service.token);
  const signal = AbortSignal.timeout(20_000);
  for await (const frame of remote.stream(path, lastEventId === undefined ? { signal } : { signal, lastEventId }))
    frames.push(frame);
  return frames;
}

test('a whole discussion without pauses, and the hash of the state as it was folded live', async () => {
  const { id } = await talkingDiscussion(on, 3);
  await shown(on, `/discussions/${id}`, (body) => body['status'] === 'concluded');
  const log = await logOf(on, id);
  const frames = await framesOf(`/discussions/${id}/replay?speed=0`);
  assert.equal(
    frames.slice(0, -1).map(({ event, id, data }) => [event, id, data]),
    log.map((event) => [event['type'], String(event['revision']), event]),
  );
  const { state } = await refresh(on.service.running.engine, discussions, `discussion-${id}`);
  const end = { revision: log.length - 1, events: log.length, stateHash: stateHash(state) };
  assert.equal([frames.at(-1)?.event, frames.at(-1)?.data], ['end', end]);
  assert.equal(await framesOf(`/discussions/${id}/replay?speed=0`), frames, 'the same again');
  const again = await framesOf(`/discussions/${id}/replay?speed=0`, '4');
  assert.equal(again.slice(0, -1), frames.slice(5, -1), 'who comes back goes on after what they saw');
  assert.is((again.at(-1)?.data as { stateHash: string }).stateHash, end.stateHash);
  const { status } = await on.get(`/discussions/${id}/replay`, { headers: { 'Last-Event-ID': String(end.revision) } });
  assert.is(status, 204);
});

test('a part of it ends with the state of its last event', async () => {
  const { id } = await quietDiscussion(on);
  for (let i = 0; i < 6; i += 1) expected(await on.post(`/discussions/${id}/messages`, { content: `${i}` }), 201);
  const { store } = on.service.running.storage;
  const replay = createReplay();
  for await (const { event, index } of readLineage(store, id, { to: 6 })) replay.next(event, index);
  const frames = await framesOf(`/discussions/${id}/replay?speed=0&from=4&to=6`);
  assert.equal(
    frames.map((frame) => frame.id),
    ['4', '5', '6', undefined],
  );
  assert.equal(frames.at(-1)?.data, { revision: 6, events: 3, stateHash: stateHash(replay.state) });
  const at = String((await logOf(on, id))[6]?.['occurredAt']);
  const until = (await framesOf(`/discussions/${id}/replay?speed=0&at=${at}`)).at(-1);
  assert.ok(Number((until?.data as { revision: number }).revision) >= 6);
});

test('what cannot be played is refused, and a ticket opens it', async () => {
  const { id } = await quietDiscussion(on);
  for (const [query, status] of [
    ['to=99', 404],
    ['from=99', 400],
    ['from=3&to=2', 400],
    ['speed=-1', 400],
    ['speed=fast', 400],
    ['to=1&at=2026-01-01T00:00:00Z', 400],
    ['at=2020-01-01T00:00:00Z', 404],
  ] as const)
    assert.is((await on.get(`/discussions/${id}/replay?${query}`)).status, status, query);
  const path = `/api/v1/discussions/${id}/replay`;
  const { body } = await on.post('/stream-tickets', { path });
  const answer = await fetch(`${on.url}${path}?speed=0&ticket=${String(body['ticket'])}`);
  assert.match(await answer.text(), /event: end\ndata: .*stateHash/);
});

test('pauses are those of the log divided by the speed, five seconds at most; who leaves is not played to', async () => {
  const store = createMemoryEventStore();
  const id = '0a3f1c52-6f0c-4ab4-9d24-6f1a4c3f4a11';
  const [batch] = history({ seed: 3, discussions: 1, batches: 1 }).filter(({ stream }) =>
    stream.startsWith('discussion'),
  );
  const times = [0, 1_000, 1_000, 61_000, 61_040];
  const events = times.map((ms, i) => {
    const event = batch?.events[Math.min(i, 1)];
    if (event === undefined) throw new Error('no history');
    const metadata = { ...event.metadata, occurredAt: new Date(1_780_000_000_000 + ms).toISOString() };
    return { ...event, id: `0a3f1c52-6f0c-4ab4-9d24-6f1a4c3f4a2${i}`, metadata };
  });
  await store.append(`discussion-${id}`, events, -1);
  const moment = { discussionId: id, revision: 4, parts: [{ discussionId: id, offset: 0, until: 4 }] };
  const play = async (speed: number, leavesAfter = Infinity) => {
    const gone = new AbortController();
    const waits: number[] = [];
    const sent: string[] = [];
    const clock = { now: () => 0, monotonic: () => 0, sleep: async (ms: number) => void waits.push(ms) };
    const connection: SseConnection = {
      ...{ signal: gone.signal, roomy: true, room: async () => undefined },
      send: (frame) => void (sent.push(frame) >= leavesAfter && gone.abort()),
      close: (last) => void sent.push(last ?? ''),
    };
    await playReplay({ store, clock, connection, moment, from: 0, speed });
    return { waits, sent: sent.length };
  };
  assert.equal(await play(1), { waits: [1000, 5000, 40], sent: 6 });
  assert.equal(await play(20), { waits: [50, 3000, 2], sent: 6 });
  assert.equal(await play(0), { waits: [], sent: 6 });
  assert.equal(await play(1, 2), { waits: [1000], sent: 2 });
});

test('a service that stops tells who watches a replay to come back', async () => {
  const { store } = on.service.running.storage;
  const events = [];
  for await (const { type, schemaVersion, data, metadata } of store.read(
    `discussion-${(await quietDiscussion(on)).id}`,
  )) {
    const occurredAt = new Date(Date.parse(metadata.occurredAt) - (events.length === 0 ? 3_600_000 : 0)).toISOString();
    events.push({ id: randomUUID(), type, schemaVersion, data, metadata: { ...metadata, occurredAt } });
  }
  const id = randomUUID();
  await store.append(`discussion-${id}`, events, -1);
  const answer = await fetch(`${on.url}/api/v1/discussions/${id}/replay`, {
    headers: { authorization: `Bearer ${on.service.token}` },
  });
  const restarted = on.restart();
  assert.match(await answer.text(), /event: reconnect/);
  await restarted;
});

test.run();
