/** What is said stands in the index: once, with all its fields, and when the checkpoint says so. */
import * as assert from 'uvu/assert';
import { completeTurn } from '../../commands/completeTurn.ts';
import { forkDiscussion, forkDiscussionSchema } from '../../commands/forkDiscussion.ts';
import { createPostgresSlots } from '../../infra/postgresSlots.ts';
import { embeddings } from '../../projections/embeddings.ts';
import { runEmbedder } from '../../workers/embedder.ts';
import { asked, createWorld, processOn } from '../commands/engineForTests.ts';
import { aClaimedDiscussion, answerOf } from '../commands/scenes.ts';
import { suite } from '../harness.ts';
import { appendAll } from './events.ts';
import {
  assertWhole,
  closeWorlds,
  embedAll,
  openWorld,
  quickClock,
  say,
  startEmbedding,
  storesForTests,
  talk,
  until,
} from './embeddingsForTests.ts';

const stores = await storesForTests('embedding');
const test = suite('embeddings');
test.after.each(closeWorlds);
test.after(async () => void (await Promise.all(stores.map((store) => store.stop()))));
const long = { deadlineMs: 60_000 };

for (const store of stores) {
  test(
    `${store.name}: every chunk of every message and document is there once, and I5 holds`,
    async () => {
      const world = await openWorld(store);
      await say(world, 1, 150);
      const { faults } = await embedAll(world);
      assert.equal(faults, []);
      const passages = await assertWhole(world);
      const kinds = new Set(passages.map(({ kind, agentId }) => `${kind} ${agentId === null ? 'nobody' : 'agent'}`));
      assert.equal([...kinds].sort(), ['document nobody', 'message agent', 'message nobody']);
      assert.ok(passages.some(({ chunk }) => chunk > 0));
      assert.is(world.embedder.embedded, passages.length, 'each is embedded once');
    },
    long,
  );

  test(
    `${store.name}: one event after the other, over several starts, gives the same`,
    async () => {
      const world = await openWorld(store);
      const all = talk(2, 40);
      for (let i = 0; i < all.length; i += 10) {
        const running = await startEmbedding(world);
        for (const batch of all.slice(i, i + 10)) {
          await appendAll(world.store, [batch]);
          await running.caughtUp();
        }
        await running.stop();
        assert.equal(running.faults, []);
      }
      await assertWhole(world);
    },
    long,
  );

  test(
    `${store.name}: paused it stands still, resumed it goes on`,
    async () => {
      const world = await openWorld(store);
      const { knex } = world.database;
      await say(world, 3);
      const running = await startEmbedding(world);
      await running.caughtUp();
      const pause = (paused: boolean) =>
        knex('projections')
          .where({ name: embeddings.name })
          .update({ paused, epoch: knex.raw('epoch + 1') });
      await pause(true);
      const before = world.embedder.embedded;
      await say(world, 4, 20);
      assert.ok(await running.isStuck());
      await pause(false);
      await running.caughtUp();
      assert.ok(world.embedder.embedded > before);
      await running.stop();
      await assertWhole(world);
    },
    long,
  );
}

for (const store of stores.slice(0, 1)) {
  test('what is said in a fork is there with its own discussion and its author', async () => {
    const engineWorld = createWorld();
    const engine = await processOn(engineWorld);
    const first = await aClaimedDiscussion(engine);
    const { id } = await forkDiscussion(
      engine,
      first.id,
      forkDiscussionSchema.parse({ atRevision: first.revision }),
      asked(),
    );
    await completeTurn(engine, first.id, answerOf(first), asked());
    const world = { ...(await openWorld(store)), store: engineWorld.log };
    await embedAll(world);
    const passages = await assertWhole(world);
    assert.ok(passages.some(({ discussionId, agentId }) => discussionId === first.id && agentId !== null));
    assert.not(
      passages.some(({ discussionId }) => discussionId === id),
      'what it took over is its parent’s',
    );
  });

  test(
    'of two embedders one works, and the other takes over when it ends',
    async () => {
      const world = await openWorld(store);
      const { database, meaning } = world;
      const lines: unknown[] = [];
      const note = (...line: unknown[]) => void lines.push(line);
      const embedders = ['a', 'b'].map((holder) => {
        const [stopping, texts] = [new AbortController(), { count: 0 }];
        const counted = { ...world.embedder };
        counted.embed = (given, options) => {
          texts.count += given.length;
          return world.embedder.embed(given, options);
        };
        const finished = runEmbedder(
          {
            ...{
              ...meaning,
              embedder: () => counted,
              knex: database.knex,
              store: world.store,
              clock: quickClock,
              holder,
            },
            slots: createPostgresSlots({ pool: database.pool }),
            log: { info: note, warn: note, error: note, debug: note } as never,
          },
          stopping.signal,
        );
        return { texts, finished, stop: () => (stopping.abort(), finished) };
      });
      await say(world, 5);
      const head = await world.store.head();
      const at = async () => {
        const row = await database
          .knex('projections')
          .where({ name: embeddings.name })
          .first<{ position: string } | undefined>('position');
        return BigInt(row?.position ?? 0);
      };
      await until('one has embedded all', async () => (await at()) === head);
      const [worker, waiting] = [...embedders].sort((one, other) => other.texts.count - one.texts.count);
      assert.is(waiting?.texts.count, 0, 'the other one does nothing');
      await worker?.stop();
      await say(world, 6, 20);
      const grown = await world.store.head();
      await until('the other one has taken over', async () => (await at()) === grown);
      assert.ok((waiting?.texts.count ?? 0) > 0);
      await waiting?.stop();
      await assertWhole(world);
    },
    long,
  );
}

test.run();
