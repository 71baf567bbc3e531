/** Forks: what they share, that the parent is only read, and that a changed prefix is noticed. */
import { createHash } from 'node:crypto';
import * as assert from 'uvu/assert';
import { discussions } from '../../commands/aggregate.ts';
import { completeTurn } from '../../commands/completeTurn.ts';
import { concludeDiscussion } from '../../commands/concludeDiscussion.ts';
import { existing } from '../../commands/discussionCommand.ts';
import type { Engine } from '../../commands/engine.ts';
import { forkDiscussion, forkDiscussionSchema } from '../../commands/forkDiscussion.ts';
import { postMessage } from '../../commands/postMessage.ts';
import { load, refresh, stateAt } from '../../commands/states.ts';
import { canonicalJson } from '../../domain/codec.ts';
import type { DiscussionEventData } from '../../domain/discussion/events.ts';
import { MAX_ANCESTORS } from '../../domain/discussion/fork.ts';
import type { EventStore } from '../../domain/ports.ts';
import { suite } from '../harness.ts';
import { asked, createWorld, processOn, refusalOf, refusedIn, type World } from './engineForTests.ts';
import { createFaultyStore } from './faultyStore.ts';
import { aClaimedDiscussion, aDiscussion, answerOf } from './scenes.ts';

const test = suite('forkDiscussion');

function fork(engine: Engine, id: string, atRevision: number, overrides: object = {}) {
  return forkDiscussion(engine, id, forkDiscussionSchema.parse({ atRevision, overrides }), asked());
}

/** A discussion of one turn, a message, and a turn under way. */
async function scene(): Promise<{ world: World; engine: Engine; id: string; revision: number }> {
  const world = createWorld();
  const engine = await processOn(world);
  const claimed = await aClaimedDiscussion(engine);
  await completeTurn(engine, claimed.id, answerOf(claimed), asked());
  const { revision } = await postMessage(engine, claimed.id, { content: '@Ada what about cocoa?' }, asked());
  return { world, engine, id: claimed.id, revision };
}

const streamOf = (world: World, id: string) => world.log.events.filter(({ stream }) => stream === `discussion-${id}`);
const forkedData = (world: World, id: string) =>
  streamOf(world, id)[0]?.data as DiscussionEventData<'DiscussionForked'>;

test('at every revision the fork goes on from the parent’s state there, and cold processes fold the same', async () => {
  const { world, engine, id, revision } = await scene();
  for (let at = 0; at <= revision; at += 1) {
    const before = streamOf(world, id);
    const { state: then } = await stateAt(engine.store, discussions, `discussion-${id}`, at);
    const parent = existing(then);
    const forked = await fork(engine, id, at);
    assert.equal(streamOf(world, id), before, 'the parent is only read');
    const data = forkedData(world, forked.id);
    const { turnsRequested, turnsCompleted, messages, tokensUsed, participants, topic, policy, limits } = parent;
    assert.equal(
      [data.turnsRequested, data.turnsCompleted, data.messages, data.inputTokens + data.outputTokens],
      [turnsRequested, turnsCompleted, messages, tokensUsed],
    );
    assert.equal([data.participants, data.topic, data.policy, data.limits], [participants, topic, policy, limits]);
    assert.equal([data.offset, data.turn?.turnId], [at + 1, parent.turn?.turnId]);
    const state = existing(forked.state);
    assert.equal([state.status, state.marks, state.unsettled], ['open', parent.marks, []]);
    assert.is(state.turn?.claim ?? null, null);
    world.snapshots.clear();
    const cold = await load(await processOn(world), discussions, `discussion-${forked.id}`);
    assert.equal(cold, engine.states.get(`discussion-${forked.id}`), `at revision ${at}`);
  }
});

test('the hash is that of the stored events, one after the other', async () => {
  const { world, engine, id } = await scene();
  const forked = await fork(engine, id, 2);
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  const hash = streamOf(world, id)
    .slice(0, 3)
    .reduce((before, { stream, revision, id: eventId, type, schemaVersion, data, metadata }) => {
      const hashed = { data: sha256(canonicalJson(data)), metadata: sha256(canonicalJson(metadata)) };
      return sha256(before + canonicalJson({ stream, revision, id: eventId, type, schemaVersion, ...hashed }));
    }, '0'.repeat(64));
  assert.is(forkedData(world, forked.id).prefixHash, hash);
});

test('a prefix that was changed afterwards is refused wherever it is read', async () => {
  const { world, engine, id, revision } = await scene();
  const child = await fork(engine, id, revision);
  const grandchild = await fork(engine, child.id, 0);
  const changing = (store: EventStore): EventStore => ({
    ...store,
    async *readStored(after, options) {
      for await (const event of store.readStored(after, options))
        yield event.stream === `discussion-${id}` && event.revision === revision
          ? { ...event, data: event.data.replace('cocoa', 'gin') }
          : event;
    },
  });
  world.snapshots.clear();
  for (const each of [child.id, grandchild.id]) {
    const cold = await processOn(world, { through: changing });
    const refusal = await refusalOf('internal', () => load(cold, discussions, `discussion-${each}`));
    assert.match(refusal.message, /not those that were forked/);
    await refusalOf('internal', () => fork(cold, each, 0));
  }
});

test('from its snapshot a fork is loaded without a look at its ancestors', async () => {
  const { world, engine, id, revision } = await scene();
  const child = await fork(engine, id, revision);
  await postMessage(engine, child.id, { content: 'Cocoa, then.' }, asked());
  const own = streamOf(world, child.id).length;
  const store = createFaultyStore(world.log);
  const cold = await processOn(world, { through: () => store });
  const loaded = await refresh(cold, discussions, `discussion-${child.id}`);
  assert.equal(loaded, engine.states.get(`discussion-${child.id}`));
  assert.ok(store.eventsRead <= own, `${store.eventsRead} of its own ${own} events`);
});

test('places of messages count on over the lineage, turn numbers too', async () => {
  const { engine, id, revision } = await scene();
  const child = await fork(engine, id, revision);
  const { state, revision: at } = await postMessage(engine, child.id, { content: 'Cocoa, then.' }, asked());
  const { marks, offset, turn } = existing(state);
  assert.is(offset, revision + 1);
  assert.is(marks.at(-1)?.revision, offset + at);
  assert.is(turn?.number, 3, 'turn 2 was open and is cancelled here');
});

test('refused: past the end, of nothing, and a hundred on top of each other', async () => {
  const { world, engine, id, revision } = await scene();
  const past = await refusedIn(world, 'conflict', () => fork(engine, id, revision + 1));
  assert.is(past.actualRevision, revision);
  await refusedIn(world, 'not-found', () => fork(engine, '01890a5d-ac96-774b-bcce-b302099a8057', 0));
  let youngest = id;
  for (let n = 0; n < MAX_ANCESTORS; n += 1) youngest = (await fork(engine, youngest, 0)).id;
  const refusal = await refusedIn(world, 'conflict', () => fork(engine, youngest, 0));
  assert.match(refusal.message, /at most 100/);
  world.snapshots.clear();
  const { state } = await load(await processOn(world), discussions, `discussion-${youngest}`);
  assert.is(existing(state).ancestors.length, MAX_ANCESTORS);
});

test('a process that knows an older revision looks again before it refuses', async () => {
  const world = createWorld();
  const [engine, other] = [await processOn(world), await processOn(world)];
  const { id, revision } = await aDiscussion(engine);
  await postMessage(other, id, { content: 'Meanwhile.' }, asked());
  await concludeDiscussion(other, id, {}, asked());
  const forked = await fork(engine, id, revision + 1);
  assert.equal([existing(forked.state).status, existing(forked.state).messages], ['open', 1]);
});

test.run();
