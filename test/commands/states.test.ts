/** Folded states: cached, refreshed, from snapshots; and the turnstile before them. */
import * as assert from 'uvu/assert';
import { discussions } from '../../commands/aggregate.ts';
import { concludeDiscussion } from '../../commands/concludeDiscussion.ts';
import type { Engine } from '../../commands/engine.ts';
import { pauseDiscussion } from '../../commands/pauseDiscussion.ts';
import { postMessage } from '../../commands/postMessage.ts';
import { resumeDiscussion } from '../../commands/resumeDiscussion.ts';
import { load, refresh, stateAt } from '../../commands/states.ts';
import { createTurnstile } from '../../commands/turnstile.ts';
import { suite } from '../harness.ts';
import { asked, createWorld, processOn, refusalOf, refusedIn, type World } from './engineForTests.ts';
import { createFaultyStore } from './faultyStore.ts';
import { aDiscussion } from './scenes.ts';

const test = suite('states');

/** A discussion of 620 messages: long enough for one snapshot. */
async function longDiscussion(): Promise<{ world: World; id: string; stream: string; engine: Engine }> {
  const world = createWorld();
  const engine = await processOn(world);
  const { id } = await aDiscussion(engine);
  for (let i = 0; i < 620; i += 1) await postMessage(engine, id, { content: `message ${i}` }, asked());
  return { world, id, stream: `discussion-${id}`, engine };
}

async function counting(world: World) {
  const store = createFaultyStore(world.log);
  return { store, engine: await processOn(world, { through: () => store }) };
}

test('a cold start reads a snapshot and what came after it', async () => {
  const { world, stream, engine } = await longDiscussion();
  const snapshot = world.snapshots.get(stream);
  const length = world.log.events.filter((each) => each.stream === stream).length;
  assert.is(snapshot?.revision, 499);
  const cold = await counting(world);
  const loaded = await load(cold.engine, discussions, stream);
  assert.is(cold.store.eventsRead, length - 499, 'the event at the snapshot, to compare its id, and the rest');
  assert.equal(loaded, engine.states.get(stream));
  await load(cold.engine, discussions, stream);
  assert.is(cold.store.eventsRead, length - 499, 'then from the cache');
});

test('a snapshot of another history, of another fold, and one beyond the log do not count', async () => {
  const { world, stream, engine } = await longDiscussion();
  const snapshot = world.snapshots.get(stream);
  if (snapshot === undefined) throw new Error('there is no snapshot');
  const length = world.log.events.filter((each) => each.stream === stream).length;
  const wrong = { status: 'concluded', projectId: 'other' };
  const others = [
    { ...snapshot, state: wrong, eventId: '01890a5d-ac96-774b-bcce-b302099a8057' },
    { ...snapshot, state: wrong, version: snapshot.version + 1 },
    { ...snapshot, state: wrong, revision: 5000 },
  ];
  for (const other of others) {
    world.snapshots.set(stream, other);
    const cold = await counting(world);
    assert.equal(await load(cold.engine, discussions, stream), engine.states.get(stream));
    assert.ok(cold.store.eventsRead >= length, 'everything is read');
  }
});

test('snapshots that cannot be read or written cost only time', async () => {
  const world = createWorld();
  const broken = async () => Promise.reject(new Error('no table'));
  const engine = { ...(await processOn(world)), snapshots: { load: async () => null, save: broken } };
  const { id } = await aDiscussion(engine);
  for (let i = 0; i < 510; i += 1) await postMessage(engine, id, { content: 'again' }, asked());
  assert.is(world.log.events.at(-1)?.type, 'MessagePosted');
});

test('nobody is refused by a cache that is behind', async () => {
  const world = createWorld();
  const [here, there] = [await processOn(world), await processOn(world)];
  const { id } = await aDiscussion(here);
  await pauseDiscussion(here, id, asked());
  await resumeDiscussion(there, id, asked());
  // Here it looks paused still.
  await pauseDiscussion(here, id, asked());
  await concludeDiscussion(there, id, {}, asked());
  await refusedIn(world, 'conflict', () => pauseDiscussion(here, id, asked()));
});

test('If-Match is compared with the log, not with a cache that is behind', async () => {
  const world = createWorld();
  const [here, there] = [await processOn(world), await processOn(world)];
  const opened = await aDiscussion(here);
  const said = await postMessage(there, opened.id, { content: 'Hello.' }, asked());
  await pauseDiscussion(here, opened.id, asked({ ifRevision: said.revision }));
  const stale = await refusedIn(world, 'revision-mismatch', () =>
    resumeDiscussion(there, opened.id, asked({ ifRevision: said.revision })),
  );
  assert.is(stale.actualRevision, said.revision + 1);
});

test('If-Match holds against a writer who comes between decision and append', async () => {
  const world = createWorld();
  const { store, engine } = await counting(world);
  const opened = await aDiscussion(engine);
  const other = await processOn(world);
  store.faults.push(async () => postMessage(other, opened.id, { content: 'First.' }, asked()));
  const change = pauseDiscussion(engine, opened.id, asked({ ifRevision: opened.revision }));
  await refusalOf('revision-mismatch', () => change);
});

test('the state of the past is folded up to its revision', async () => {
  const world = createWorld();
  const engine = await processOn(world);
  const { id, state, revision } = await aDiscussion(engine);
  await concludeDiscussion(engine, id, {}, asked());
  const then = await stateAt(world.log, discussions, `discussion-${id}`, revision);
  assert.equal([then.state, then.revision], [state, revision]);
  assert.is((await refresh(engine, discussions, `discussion-${id}`)).state.status, 'concluded');
});

test('an unknown stream is not kept in the cache', async () => {
  const engine = await processOn(createWorld());
  assert.is((await load(engine, discussions, 'discussion-x')).revision, -1);
  assert.is(engine.states.size, 0);
});

test('the turnstile lets one pass at a time, in the order of coming, each stream on its own', async () => {
  const turnstile = createTurnstile();
  const order: string[] = [];
  const pass = async (stream: string, name: string) => {
    const release = await turnstile.enter(stream, undefined);
    order.push(`${name} in`);
    await new Promise((resolve) => setImmediate(resolve));
    order.push(`${name} out`);
    release();
  };
  await Promise.all([pass('a-1', 'one'), pass('a-1', 'two'), pass('a-1', 'three')]);
  assert.equal(order, ['one in', 'one out', 'two in', 'two out', 'three in', 'three out']);
  const held = await turnstile.enter('a-1', undefined);
  (await turnstile.enter('b-1', undefined))();
  held();
});

test('the turnstile is bounded, and empties again', async () => {
  const turnstile = createTurnstile();
  const first = await turnstile.enter('a-1', undefined);
  const waiting = Array.from({ length: 1000 }, () => turnstile.enter('a-1', undefined));
  await refusalOf('unavailable', () => turnstile.enter('a-1', 'key'));
  first();
  for (const each of waiting) (await each)();
  // The one that was turned away left neither its key nor a place behind.
  (await turnstile.enter('a-1', 'key'))();
  const again = await turnstile.enter('a-1', 'key');
  await refusalOf('in-flight', () => turnstile.enter('b-1', 'key'));
  again();
  (await turnstile.enter('b-1', 'key'))();
});

test.run();
