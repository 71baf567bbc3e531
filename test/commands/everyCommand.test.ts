/** What holds of every command: accepted, refused, repeated, conflicting, not allowed, not known to have been written. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { v5 as uuidv5, v7 as uuidv7 } from 'uuid';
import { agents, discussions } from '../../commands/aggregate.ts';
import { concludeDiscussion } from '../../commands/concludeDiscussion.ts';
import type { Engine } from '../../commands/engine.ts';
import { postMessage } from '../../commands/postMessage.ts';
import { retireAgent } from '../../commands/retireAgent.ts';
import { reviseAgent } from '../../commands/reviseAgent.ts';
import { refresh } from '../../commands/states.ts';
import { suite } from '../harness.ts';
import { asked, createWorld, keyed, processOn, refusedIn, userWith, writtenBy, type World } from './engineForTests.ts';
import { everyCommand, plumbing, type Prepared, type Sample } from './everyCommand.ts';

const test = suite('every command');
const OTHER_BODY = { bodySha256: 'b'.repeat(64) };

interface Scene extends Prepared {
  readonly world: World;
  readonly engine: Engine;
}

async function begun(sample: Sample): Promise<Scene> {
  const world = createWorld();
  const engine = await processOn(world);
  return { world, engine, ...(await sample.prepare(engine, world)) };
}

const ofAgent = (name: string) => name.endsWith('Agent');

/** Another process writes something that the command does not mind. */
async function meanwhile(name: string, { world, id }: Scene): Promise<void> {
  const other = await processOn(world);
  if (id === null) return;
  if (ofAgent(name)) await reviseAgent(other, id, { name: 'Bea' }, asked());
  else await postMessage(other, id, { content: 'Meanwhile.' }, asked());
}

/** Another process writes something after which no command is possible. */
async function finished(name: string, { world, id }: Scene): Promise<void> {
  const other = await processOn(world);
  if (id === null) return;
  if (ofAgent(name)) await retireAgent(other, id, asked());
  else await concludeDiscussion(other, id, {}, asked());
}

test('every file of commands/ is here', () => {
  const files = readdirSync(join(import.meta.dirname, '../../commands')).map((file) => file.replace(/\.ts$/, ''));
  assert.equal(files.filter((file) => !plumbing.includes(file)).sort(), Object.keys(everyCommand).sort());
});

for (const [name, sample] of Object.entries(everyCommand)) {
  test(`${name}: accepted`, async () => {
    const { world, engine, ask, id } = await begun(sample);
    const by = asked({ requestId: 'request-1', causationId: uuidv7() });
    const before = world.log.events.length;
    const outcome = await ask(engine, by);
    const written = world.log.events.slice(before);
    assert.equal(
      written.map(({ type }) => type),
      sample.gives,
    );
    assert.equal(
      outcome.events.map(({ type }) => type),
      sample.gives,
    );
    assert.not(outcome.replayed);
    if (id !== null) assert.is(outcome.id, id);
    const last = written.at(-1);
    assert.equal([outcome.revision, outcome.position], [last?.revision, last?.position]);
    for (const [i, event] of written.entries()) {
      assert.is(event.id, uuidv5(String(i), by.commandId));
      assert.is(event.stream, `${ofAgent(name) ? 'agent' : 'discussion'}-${outcome.id}`);
      const { actor, project, commandId, requestId, causationId, correlationId, occurredAt } = event.metadata;
      assert.equal(actor, { kind: 'user', id: 'ada' });
      assert.equal([project, commandId, requestId], ['default', by.commandId, 'request-1']);
      assert.equal([causationId, correlationId], [by.causationId, by.correlationId]);
      assert.is(Date.parse(occurredAt), world.time.nowMs);
    }
  });

  test(`${name}: what it leaves in the cache is what the log folds to`, async () => {
    const { world, engine, ask } = await begun(sample);
    const outcome = await ask(engine, asked());
    const stream = `${ofAgent(name) ? 'agent' : 'discussion'}-${outcome.id}`;
    const cold = await processOn(world);
    const folded = ofAgent(name) ? await refresh(cold, agents, stream) : await refresh(cold, discussions, stream);
    assert.equal(engine.states.get(stream), folded);
  });

  test(`${name}: refused when the state forbids it, also by a cache that does not know it`, async () => {
    const scene = await begun(sample);
    const { world, engine, ask, id } = scene;
    if (id === null) {
      const stranger = asked({ actor: userWith('viewer', 'default') });
      await refusedIn(world, 'forbidden', () => ask(engine, stranger));
      return;
    }
    await finished(name, scene);
    // The tokens of an attempt are settled after the end too, but once.
    if (name === 'abandonTurn') await ask(await processOn(world), asked());
    const refusal = await refusedIn(world, 'conflict', () => ask(engine, asked()));
    if (name !== 'claimTurn' && name !== 'abandonTurn') assert.match(refusal.message, /concluded|retired/);
    await refusedIn(world, 'conflict', async () => ask(await processOn(world), asked()));
  });

  test(`${name}: repeated, it answers what was recorded and writes nothing`, async () => {
    const scene = await begun(sample);
    const { world, engine, ask } = scene;
    const before = await world.log.head();
    const by = keyed('once');
    const first = await ask(engine, by);
    await finished(name, { ...scene, id: first.id }).catch(() => undefined);
    const events = world.log.events.length;
    for (const readModelAt of [null, before, 0n, first.position])
      for (const of of [engine, await processOn(world)]) {
        world.readModelAt = readModelAt;
        const again = await ask(of, by);
        assert.ok(again.replayed, `read model at ${readModelAt}`);
        assert.equal([again.id, again.revision, again.position], [first.id, first.revision, first.position]);
        assert.equal(again.state, first.state);
        assert.equal(
          again.events.map(({ type }) => type),
          first.events.map(({ type }) => type),
        );
        assert.is(world.log.events.length, events);
      }
    for (const readModelAt of [null, 0n]) {
      world.readModelAt = readModelAt;
      await refusedIn(world, 'key-reused', () => ask(engine, { ...by, ...OTHER_BODY }));
    }
  });

  test(`${name}: another writer came first, so it decides again, and writes once`, async () => {
    const scene = await begun(sample);
    const { world, engine, ask } = scene;
    const by = keyed('after a conflict');
    await meanwhile(name, scene);
    if (name === 'claimTurn') {
      const refusal = await refusedIn(world, 'conflict', () => ask(engine, by));
      assert.ok(refusal.retryable);
      return;
    }
    const outcome = await ask(engine, by);
    assert.not(outcome.replayed);
    assert.equal(writtenBy(world, by.commandId), [...sample.gives]);
    assert.is(world.log.events.at(-1)?.revision, outcome.revision);
  });

  test(`${name}: who may not read it is told that it is not there, who may only read that it is forbidden`, async () => {
    const { world, engine, ask, id } = await begun(sample);
    const stranger = asked({ actor: userWith('administrator', 'secret') });
    await refusedIn(world, id === null && sample.of === undefined ? 'forbidden' : 'not-found', () =>
      ask(engine, stranger),
    );
    await refusedIn(world, 'forbidden', () => ask(engine, asked({ actor: userWith('viewer', 'default') })));
  });

  test(`${name}: If-Match of another revision`, async () => {
    const { world, engine, ask, id } = await begun(sample);
    if (id === null) return;
    const { revision } = world.log.events.findLast((each) => each.stream.endsWith(id)) ?? { revision: NaN };
    for (const ifRevision of [revision - 1, revision + 1]) {
      const refusal = await refusedIn(world, 'revision-mismatch', () => ask(engine, asked({ ifRevision })));
      assert.is(refusal.actualRevision, revision);
    }
    await ask(engine, asked({ ifRevision: revision }));
  });
}

test.run();
