/** What goes wrong between a command and the log: conflicts, unknown outcomes, keys, several processes at once. */
import * as assert from 'uvu/assert';
import type { Engine } from '../../commands/engine.ts';
import { openDiscussion } from '../../commands/openDiscussion.ts';
import { pauseDiscussion } from '../../commands/pauseDiscussion.ts';
import { postMessage } from '../../commands/postMessage.ts';
import { claimTurn } from '../../commands/claimTurn.ts';
import { createMemoryEventStore } from '../standins/memoryEventStore.ts';
import { suite } from '../harness.ts';
import {
  asked,
  createWorld,
  keyed,
  processOn,
  refusalOf,
  refusedIn,
  userWith,
  worker,
  writtenBy,
} from './engineForTests.ts';
import { createFaultyStore, type Fault, type FaultyStore } from './faultyStore.ts';
import { aDiscussion, anAgent, claimOf, discussionBody } from './scenes.ts';

const test = suite('dispatch');

async function begun(faults: readonly Fault[] = []) {
  const world = createWorld();
  const { id, revision } = await aDiscussion(await processOn(world));
  const store: FaultyStore = createFaultyStore(world.log);
  const engine = await processOn(world, { through: () => store });
  store.faults.push(...faults);
  const say = (of: Engine, by = asked(), content = 'Hello.') => postMessage(of, id, { content }, by);
  return { world, engine, store, id, revision, say };
}

test('an answer that was lost: the same batch is asked again and was written once', async () => {
  const { world, engine, store, say, revision } = await begun(['commits-then-throws']);
  const by = asked();
  const outcome = await say(engine, by);
  assert.equal([outcome.revision, outcome.replayed, store.appends], [revision + 1, false, 2]);
  assert.equal(writtenBy(world, by.commandId), ['MessagePosted']);
});

test('an append that never arrived is asked again', async () => {
  const { world, engine, store, say } = await begun(['throws-before', 'throws-before']);
  const by = asked();
  await say(engine, by);
  assert.equal([writtenBy(world, by.commandId), store.appends], [['MessagePosted'], 3]);
});

test('a log that never answers is given up after three, nothing written', async () => {
  const { world, engine, store, say } = await begun(['throws-before', 'throws-before', 'throws-before']);
  const refusal = await refusedIn(world, 'unavailable', () => say(engine));
  assert.equal([store.appends, refusal.retryable], [3, true]);
  assert.match(refusal.message, /same Idempotency-Key/);
});

test('three lost answers are told as unavailable; the same key then learns what happened', async () => {
  const lost = 'commits-then-throws';
  const { world, engine, say, revision } = await begun([lost, lost, lost]);
  const by = keyed('lost');
  await refusalOf('unavailable', () => say(engine, by));
  assert.equal(writtenBy(world, by.commandId), ['MessagePosted']);
  for (const of of [engine, await processOn(world)]) {
    const again = await say(of, by);
    assert.equal([again.replayed, again.revision], [true, revision + 1]);
  }
  assert.equal(writtenBy(world, by.commandId), ['MessagePosted']);
});

test('an answer lost, and another writer before the repetition: still written once', async () => {
  const { world, engine, store, say, id } = await begun();
  const by = asked();
  const other = await processOn(world);
  store.faults.push('commits-then-throws', async () => postMessage(other, id, { content: 'Me too.' }, asked()));
  const outcome = await say(engine, by);
  assert.equal(writtenBy(world, by.commandId), ['MessagePosted']);
  assert.is(world.log.events.find(({ metadata }) => metadata.commandId === by.commandId)?.revision, outcome.revision);
});

test('never arrived, and another writer before the repetition: decided again and written once', async () => {
  const { world, engine, store, say, id, revision } = await begun();
  const by = asked();
  const other = await processOn(world);
  store.faults.push('throws-before', async () => postMessage(other, id, { content: 'Me first.' }, asked()));
  const outcome = await say(engine, by);
  assert.equal([outcome.revision, outcome.replayed], [revision + 2, false]);
  assert.equal(writtenBy(world, by.commandId), ['MessagePosted']);
});

test('what a conflict shows to be impossible is refused, not written', async () => {
  const { world, engine, store, id } = await begun();
  const other = await processOn(world);
  store.faults.push(async () => pauseDiscussion(other, id, asked()));
  const by = asked();
  const refusal = await refusalOf('conflict', () => pauseDiscussion(engine, id, by));
  assert.match(refusal.message, /paused already/);
  assert.equal(writtenBy(world, by.commandId), []);
});

test('conflicts without end are told as one after five', async () => {
  const { world, engine, store, say, id } = await begun();
  const other = await processOn(world);
  for (let i = 0; i < 9; i += 1) store.faults.push(async () => postMessage(other, id, { content: 'No, me.' }, asked()));
  const by = asked();
  const refusal = await refusalOf('conflict', () => say(engine, by));
  assert.equal([refusal.retryable, store.appends], [true, 5]);
  assert.equal(writtenBy(world, by.commandId), []);
});

test('a claim is not decided again: its prompt was of another revision', async () => {
  const world = createWorld();
  const opened = await aDiscussion(await processOn(world));
  const store = createFaultyStore(world.log);
  const engine = await processOn(world, { through: () => store });
  const other = await processOn(world);
  store.faults.push(async () => postMessage(other, opened.id, { content: 'Wait.' }, asked()));
  const by = asked({ actor: worker });
  const claim = claimTurn(engine, opened.id, claimOf(opened), opened.revision, by);
  assert.is((await refusalOf('conflict', () => claim)).actualRevision, opened.revision + 1);
  assert.equal(writtenBy(world, by.commandId), []);
});

test('claiming twice: one of two workers gets the turn', async () => {
  const world = createWorld();
  const opened = await aDiscussion(await processOn(world));
  const [one, two] = await Promise.all([processOn(world), processOn(world)]);
  const claims = [one, two].map((engine, i) =>
    claimTurn(engine, opened.id, claimOf(opened, { worker: `w${i}` }), opened.revision, asked({ actor: worker })),
  );
  const outcomes = await Promise.allSettled(claims);
  assert.equal(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  assert.is(world.log.events.filter(({ type }) => type === 'TurnClaimed').length, 1);
  const late = claimTurn(two, opened.id, claimOf(opened), opened.revision + 1, asked({ actor: worker }));
  await refusedIn(world, 'conflict', () => late);
});

test('the same key by two people is two commands', async () => {
  const { world, engine, say, revision } = await begun();
  await say(engine, keyed('mine'));
  const other = await say(engine, keyed('mine', { actor: userWith('administrator', 'default', 'grace') }));
  assert.equal([other.replayed, other.revision, world.log.events.length], [false, revision + 2, revision + 4]);
});

test('a key used for another resource is refused', async () => {
  const { world, engine, say } = await begun();
  const by = keyed('one resource');
  await say(engine, by);
  const second = await aDiscussion(engine);
  await refusedIn(world, 'key-reused', () => postMessage(engine, second.id, { content: 'Hello.' }, by));
});

test('the same key twice at once: one works, the other is told to ask again', async () => {
  const { world, engine, say } = await begun();
  const by = keyed('at once');
  const outcomes = await Promise.allSettled([say(engine, by), say(engine, by), say(engine, by)]);
  const codes = outcomes.map((each) => (each.status === 'fulfilled' ? 'done' : (each.reason as { code: string }).code));
  assert.equal(codes.sort(), ['done', 'in-flight', 'in-flight']);
  assert.equal(writtenBy(world, by.commandId), ['MessagePosted']);
  assert.ok((await say(engine, by)).replayed);
});

test('the same key in two processes at the same moment: one is written, both are told what', async () => {
  const world = createWorld();
  const store = createFaultyStore(world.log);
  const [here, there] = [await processOn(world, { through: () => store }), await processOn(world)];
  const body = await discussionBody(there);
  const request = (requestId: string, more = {}) => keyed('race', { requestId, ...more });
  store.faults.push(async () => openDiscussion(there, body, request('first')));
  const second = await openDiscussion(here, body, request('second'));
  assert.ok(second.replayed);
  const first = await openDiscussion(there, body, request('third'));
  assert.equal(second.state, first.state);
  assert.equal(here.states.get(`discussion-${first.id}`)?.state ?? first.state, first.state);

  const say = (of: Engine, content: string, more = {}) =>
    postMessage(of, first.id, { content }, keyed('said', { requestId: content, ...more }));
  store.faults.push(async () => say(there, 'Yes.'));
  await refusalOf('key-reused', () => say(here, 'No.', { bodySha256: 'b'.repeat(64) }));
  assert.is(world.log.events.filter(({ type }) => type === 'MessagePosted').length, 1);
  assert.is((await postMessage(here, first.id, { content: 'Next.' }, asked())).revision, first.revision + 2);
});

test('without a key two requests are two commands', async () => {
  const { world, engine, say, revision } = await begun();
  await Promise.all([say(engine), say(engine)]);
  assert.is(world.log.events.filter(({ type }) => type === 'MessagePosted').length, 2);
  assert.is(world.log.events.at(-1)?.revision, revision + 2);
});

test('many writers in several processes: all written, each once, revisions without gaps', async () => {
  const { world, id, revision } = await begun();
  const engines = await Promise.all([processOn(world), processOn(world)]);
  const commands = Array.from({ length: 40 }, () => asked());
  const outcomes = await Promise.allSettled(
    commands.map((by, i) => postMessage(engines[i % 2] as Engine, id, { content: `message ${i}` }, by)),
  );
  for (const [i, outcome] of outcomes.entries()) {
    const written = writtenBy(world, commands[i]?.commandId ?? '').length;
    assert.is(written, outcome.status === 'fulfilled' ? 1 : 0);
    if (outcome.status === 'rejected') assert.is((outcome.reason as { code: string }).code, 'conflict');
  }
  const revisions = world.log.events.filter(({ stream }) => stream === `discussion-${id}`).map((each) => each.revision);
  assert.equal(revisions, [...revisions.keys()]);
  assert.ok(revisions.length > revision + 20, 'most of them get through');
});

test('a closed log is unavailable, not unexpected', async () => {
  const world = { ...createWorld(), log: createMemoryEventStore() };
  const engine = await processOn(world);
  world.log.close();
  await refusedIn(world, 'unavailable', () => anAgent(engine));
});

test.run();
