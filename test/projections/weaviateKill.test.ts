/** A real Weaviate that is killed and frozen while texts are embedded: in the end every passage is found by its own vector. */
import { randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import { createWeaviate } from '../../infra/weaviate.ts';
import { suite } from '../harness.ts';
import { NO_WEAVIATE, weaviateProgramForTests } from '../services.ts';
import { wallClock } from '../standins/wallClock.ts';
import { startWeaviateServer, type WeaviateServer } from '../weaviateServer.ts';
import {
  assertWhole,
  closeWorlds,
  embedAll,
  openWorld,
  say,
  startEmbedding,
  until,
  type World,
} from './embeddingsForTests.ts';
import { rebuildVectors } from './vectorsForTests.ts';

const program = weaviateProgramForTests();
const limits = { readMs: 5_000, writeMs: 10_000 };

/** @param begun whether the first object of the batch is stored. */
type OnPut = (putting: Promise<void>, begun: () => Promise<boolean>) => Promise<void>;

/** A world on a server of its own; `onPut` comes between. */
async function open(server: WeaviateServer) {
  const world = await openWorld({
    name: 'weaviate',
    open: () => createWeaviate({ url: server.url, lineage: randomUUID(), clock: wallClock, limits }),
    stop: () => Promise.resolve(),
  });
  const { index } = world;
  const usual: OnPut = (putting) => putting;
  const between = { usual, onPut: usual };
  world.index = {
    ...index,
    put(version, objects) {
      const putting = index.put(version, objects);
      putting.catch(() => undefined);
      const first = objects.slice(0, 1).map(({ passage }) => passage.passageId);
      return between.onPut(putting, async () => (await index.vectors(version, first)).size > 0);
    },
  };
  return { world, between };
}

/** Waits until the present start of the server was looked at, and everything is embedded. */
async function settled({ database, index }: World, running: Awaited<ReturnType<typeof startEmbedding>>): Promise<void> {
  await running.caughtUp();
  await until('the server’s last start was looked at', async () => {
    const row = await database
      .knex('vector_indexes')
      .orderBy('version', 'desc')
      .first<{ incarnation: string | null } | undefined>('incarnation');
    return row?.incarnation === (await index.incarnation().catch(() => ''));
  });
}

function killTests(test: ReturnType<typeof suite>, start: () => Promise<WeaviateServer>): void {
  let server: WeaviateServer;
  test.before(async () => void (server = await start()));
  test.after.each(closeWorlds);
  test.after(() => server.stop());

  test(
    'killed in the middle of batches and right after confirmed ones, frozen, and killed while nothing is said',
    async () => {
      const { world, between } = await open(server);
      const running = await startEmbedding(world);
      await say(world, 1, 150);
      await running.caughtUp();
      for (let round = 0; round < 4; round += 1) {
        const killed = new Promise<void>((resolve) => {
          between.onPut = async (putting, begun) => {
            between.onPut = between.usual;
            // In the middle, then after it was confirmed.
            if (round % 2 === 1) await putting;
            else await until('it has begun', begun);
            await server.kill();
            resolve();
            await putting;
          };
        });
        await say(world, 10 + round, 100);
        await killed;
        await server.restart();
        if (round === 2) {
          server.freeze();
          await say(world, 20, 40);
          await until('the trouble was noticed', () => running.faults.length > 2);
          server.thaw();
        }
      }
      await settled(world, running);
      const passages = await assertWhole(world);
      assert.ok(passages.length > 400, `${passages.length} passages`);
      const looks = running.audited.length;
      await server.kill();
      await server.restart();
      await until('it was looked at without any news', () => running.audited.length > looks);
      await settled(world, running);
      await assertWhole(world);
      await running.stop();
    },
    { deadlineMs: 240_000 },
  );

  test(
    'killed in the middle of a rebuild and right after a confirmed batch of it: the new version is whole',
    async () => {
      const { world, between } = await open(server);
      await say(world, 4, 500);
      await embedAll(world);
      for (const confirmed of [false, true]) {
        between.onPut = async (putting, begun) => {
          between.onPut = between.usual;
          if (confirmed) await putting;
          else await until('it has begun', begun);
          await server.kill();
          await server.restart();
          await putting;
        };
        const { verified } = await rebuildVectors(world);
        assert.ok(verified.some(({ table }) => table === 'vectors'));
        const running = await startEmbedding(world);
        await settled(world, running);
        await running.stop();
        await assertWhole(world);
      }
    },
    { deadlineMs: 180_000 },
  );
}

if (program === null) console.log(`left out: killing Weaviate while texts are embedded: ${NO_WEAVIATE}`);
else {
  const test = suite('embeddings while Weaviate is killed');
  killTests(test, () => startWeaviateServer(program));
  test.run();
}
