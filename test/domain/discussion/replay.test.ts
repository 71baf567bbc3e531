/** I9: a replay calls no model, indeed nothing at all, ends in the same state, and renders every prompt to its hash. */
import dns from 'node:dns';
import { connect, Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { discussions } from '../../../commands/aggregate.ts';
import { readLineage } from '../../../commands/lineage.ts';
import { readRecalled } from '../../../commands/readRecalled.ts';
import { refresh } from '../../../commands/states.ts';
import { createReplay, renderAttempt, stateHash } from '../../../domain/discussion/replay.ts';
import type { EventStore } from '../../../domain/ports.ts';
import { createWorld, processOn } from '../../commands/engineForTests.ts';
import { suite } from '../../harness.ts';
import { instructionsOf, longDiscussionId, writeLongDiscussion } from './longDiscussion.ts';

const test = suite('replay');
const TURNS = 10_000;

/** Until it is given back, whoever reaches for the network gets an error. */
function cutNetwork(): () => void {
  const cut = (): never => {
    throw new Error('the network is cut');
  };
  const { fetch } = globalThis;
  const sockets: { connect: unknown } = Socket.prototype;
  const before = sockets.connect;
  const { lookup } = dns;
  Object.assign(globalThis, { fetch: cut });
  Object.assign(Socket.prototype, { connect: cut });
  Object.assign(dns, { lookup: cut });
  return () => {
    Object.assign(globalThis, { fetch });
    Object.assign(Socket.prototype, { connect: before });
    Object.assign(dns, { lookup });
  };
}

async function replayed(store: EventStore, hashes: ReadonlyMap<number, string>) {
  const replay = createReplay();
  const seen = { attempts: 0, failed: 0, recalled: 0, windows: new Set<number>(), hash: '' };
  for await (const { event, index } of readLineage(store, longDiscussionId)) {
    const attempt = replay.next(event, index);
    const hash = hashes.get(index);
    if (hash !== undefined) assert.is(stateHash(replay.state), hash, `the state at revision ${index}`);
    if (attempt === null) continue;
    seen.attempts += 1;
    if (attempt.attempt > 1) seen.failed += 1;
    seen.windows.add(attempt.record.window?.from ?? -1);
    const recalled = await readRecalled(store, 'default', attempt.record);
    seen.recalled += recalled.length;
    const { sha256 } = renderAttempt(attempt, instructionsOf(attempt.agentId), recalled);
    if (sha256 !== attempt.record.sha256) assert.unreachable(`another prompt for the claim at revision ${index}`);
  }
  return { ...seen, windows: seen.windows.size, hash: stateHash(replay.state) };
}

test(
  'I9: 10,000 turns, twice, with the network cut: equal states and every prompt as it was sent',
  async () => {
    const world = createWorld();
    const live = await writeLongDiscussion(world.log, TURNS);
    assert.ok(live.hashes.size >= 14 && live.attempts > TURNS, `${live.attempts} attempts`);
    const mend = cutNetwork();
    try {
      assert.throws(() => connect(9, '127.0.0.1'), /cut/);
      const first = await replayed(world.log, live.hashes);
      assert.equal([first.hash, first.attempts], [live.hash, live.attempts]);
      assert.ok(first.failed > 200 && first.windows > 500 && first.recalled > 500, JSON.stringify(first));
      assert.equal(await replayed(world.log, live.hashes), first);
      const process = await processOn(world);
      const loaded = await refresh(process, discussions, `discussion-${longDiscussionId}`);
      assert.is(stateHash(loaded.state), live.hash, 'as commands fold it');
    } finally {
      mend();
    }
  },
  { deadlineMs: 300_000 },
);

test('another event makes another hash, and one that was changed is noticed in the prompts that show it', async () => {
  const { log } = createWorld();
  const live = await writeLongDiscussion(log, 12);
  const replay = createReplay();
  const wrong: number[] = [];
  for (const [i, event] of log.events.entries()) {
    const text = JSON.stringify(event.data).replace('Thought 3', 'Thought 4');
    const attempt = replay.next({ ...event, data: JSON.parse(text) as unknown }, event.revision);
    if (
      attempt !== null &&
      renderAttempt(attempt, instructionsOf(attempt.agentId), []).sha256 !== attempt.record.sha256
    )
      wrong.push(i);
  }
  assert.ok(wrong.length >= 1, 'no prompt shows the message');
  assert.is(stateHash(replay.state), live.hash, 'a state holds no texts of messages');
  replay.next({ ...(log.events[0] as (typeof log.events)[number]), type: 'LimitsChanged', data: { limits: {} } }, 99);
  assert.is.not(stateHash(replay.state), live.hash);
});

test('claims that fit no open turn and events of newer programs change nothing', async () => {
  const { log } = createWorld();
  await writeLongDiscussion(log, 2);
  const claim = log.events.find(({ type }) => type === 'TurnClaimed');
  if (claim === undefined) throw new Error('nothing was claimed');
  const replay = createReplay();
  assert.is(replay.next(claim, 0), null);
  for (const event of log.events) replay.next(event, event.revision);
  const before = stateHash(replay.state);
  assert.is(replay.next(claim, 50), null);
  replay.next({ ...claim, type: 'TurnDreamt' }, 51);
  assert.is(stateHash(replay.state), before);
});

test.run();
