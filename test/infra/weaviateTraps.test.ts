/** What a real Weaviate is known to do (rows W1 to W24), on servers of our own that may be killed, frozen and refused. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { VectorObject } from '../../domain/meaning/vectorIndex.ts';
import { Refusal } from '../../domain/refusal.ts';
import { createWeaviate, type WeaviateIndex } from '../../infra/weaviate.ts';
import { weaviateHealth } from '../../infra/weaviateHealth.ts';
import { putUntilFound } from '../../projections/vectors/audit.ts';
import { EVERYTHING, idsOf, own, someObjects, SPEC } from '../contracts/samplePassages.ts';
import { pagesOf } from '../contracts/vectorIndexCollections.ts';
import { suite } from '../harness.ts';
import { NO_WEAVIATE, weaviateProgramForTests } from '../services.ts';
import { wallClock } from '../standins/wallClock.ts';
import { startWeaviateServer, type WeaviateServer } from '../weaviateServer.ts';

const slow = { deadlineMs: 180_000 };
const program = weaviateProgramForTests();
if (program === null) console.log(`left out: the traps of Weaviate: ${NO_WEAVIATE}`);
else traps(program);

/** What the embedding projection does after an unknown outcome. @returns how many were lost at first. */
async function repaired(index: WeaviateIndex, version: number, objects: readonly VectorObject[]): Promise<string> {
  const lost = new Set(await index.unfindable(version, own(objects)));
  const again = objects.filter(({ passage }) => lost.has(passage.passageId));
  await putUntilFound({ index, version }, again, new AbortController().signal);
  return `${lost.size} of ${objects.length} lost, none after the repair`;
}

/** Asked as anybody would, beside the adapter: those that a search for their vector does not give first. */
async function missedBy(url: string, className: string, objects: readonly VectorObject[]): Promise<number> {
  let missed = 0;
  for (const { passage, vector } of objects) {
    const query = `{Get{${className}(nearVector:{vector:${JSON.stringify(vector)}},limit:1){_additional{id}}}}`;
    const answer = await fetch(`${url}/v1/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query }),
    });
    if (!(await answer.text()).includes(passage.passageId)) missed += 1;
  }
  return missed;
}

async function refused(work: Promise<unknown>): Promise<Refusal> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Refusal)) throw new Error(`no refusal: ${String(error)}`);
  return error;
}

function traps(found: { path: string; origin: string }): void {
  const test = suite('traps of Weaviate');
  const lineage = randomUUID();
  const className = (version: number) => `Colloquy_${lineage.replaceAll('-', '')}_passages_v${version}`;
  let server: WeaviateServer;
  let index: WeaviateIndex;
  let version = 0;
  const open = (limits = { readMs: 30_000, writeMs: 60_000 }) =>
    createWeaviate({ url: server.url, lineage, clock: wallClock, limits });
  test.before(async () => {
    server = await startWeaviateServer(found);
    index = open();
  });
  test.before.each(async () => {
    version += 1;
    await index.create(version, SPEC);
  });
  test.after(async () => {
    await index.close();
    await server.stop();
  });

  test(
    'W1, W2: killed after the batches were acknowledged; what is lost is found out, and repaired until nothing is',
    async () => {
      const objects = someObjects(600, 21);
      await index.put(version, objects);
      await server.kill();
      await server.restart();
      console.log(`killed after: ${await repaired(index, version, objects)}`);
      assert.is(await missedBy(server.url, className(version), objects), 0);
      assert.equal(await pagesOf(index, version), idsOf(objects).sort());
    },
    slow,
  );

  test(
    'W1, W2: killed inside a batch; the outcome is unknown, and after removing and sending again nothing is missing',
    async () => {
      const objects = someObjects(1_000, 22);
      const putting = refused(index.put(version, objects));
      // Between the first object that is stored and the last.
      while ((await pagesOf(index, version)).length === 0);
      await server.kill();
      assert.is((await putting).code, 'unavailable');
      await server.restart();
      await index.remove(version, idsOf(objects));
      await index.put(version, objects);
      console.log(`killed inside, removed and sent again: ${await repaired(index, version, objects)}`);
      assert.is(await missedBy(server.url, className(version), objects), 0);
      assert.equal(await pagesOf(index, version), idsOf(objects).sort());
    },
    slow,
  );

  test(
    'while it starts nothing is answered as if the index were empty or gone; a restart is noticed between two calls',
    async () => {
      const objects = someObjects(50, 23);
      await index.put(version, objects);
      const before = await index.incarnation();
      const ending = new AbortController();
      let alarms = 0;
      const lost = new Promise<void>((resolve) => {
        index.watch(() => ((alarms += 1), resolve()), ending.signal);
      });
      // Its connection stands as soon as one alarm would be a true one.
      await sleep(500);
      assert.is(alarms, 0);
      await server.end();
      await lost;
      await server.restart({ wait: false });
      for (let whole = false; !whole;) {
        const asked: (() => Promise<number>)[] = [
          async () => (await index.vectors(version, idsOf(objects))).size,
          async () => (await pagesOf(index, version)).length,
          async () => ((await index.describe(version)) === null ? 0 : 50),
          async () => 50 - (await index.unfindable(version, own(objects))).length,
        ];
        const answers = await Promise.all(asked.map((ask) => ask().catch((error: unknown) => error)));
        for (const answer of answers)
          assert.ok(answer === 50 || (answer instanceof Refusal && answer.code === 'unavailable'), String(answer));
        whole = answers.every((answer) => answer === 50);
      }
      assert.is.not(await index.incarnation(), before);
      assert.is(alarms, 1);
      ending.abort();
    },
    slow,
  );

  test(
    'W19: frozen, it holds no call longer than our deadline, nor the watch; thawed, the same index goes on',
    async () => {
      const objects = someObjects(20, 24);
      await index.put(version, objects);
      const hasty = open({ readMs: 300, writeMs: 600 });
      await hasty.describe(version);
      const ending = new AbortController();
      const lost = new Promise<void>((resolve) => hasty.watch(resolve, ending.signal));
      await sleep(500);
      server.freeze();
      const search = { vector: objects[0]?.vector ?? [], filter: EVERYTHING, limit: 5 };
      const { signal } = new AbortController();
      const calls: (() => Promise<unknown>)[] = [
        () => hasty.put(version, objects),
        () => hasty.remove(version, idsOf(objects)),
        () => hasty.vectors(version, idsOf(objects)),
        () => hasty.unfindable(version, own(objects)),
        () => pagesOf(hasty, version),
        () => hasty.create(version, SPEC),
        () => hasty.describe(version),
        () => hasty.drop(version + 1_000),
        () => hasty.versions(),
        () => hasty.incarnation(),
        () => hasty.check(),
        ...Array.from({ length: 40 }, () => () => hasty.search(version, search, { signal })),
      ];
      const answers = await Promise.all(calls.map((call) => refused(call())));
      for (const { code, retryable } of answers) assert.equal([code, retryable], ['unavailable', true]);
      await lost;
      const stop = new AbortController();
      const left = index.search(version, search, { signal: stop.signal });
      stop.abort(new Error('left'));
      assert.match(String(await left.catch((error: unknown) => error)), /left/);
      server.thaw();
      ending.abort();
      await hasty.close();
      await repaired(index, version, objects);
    },
    slow,
  );

  test(
    'W3, W12, W20: an index that takes no writes says so, and how that is ended; searches go on',
    async () => {
      const [first, ...objects] = someObjects(5, 25);
      if (!first) throw new Error('no objects');
      await index.put(version, [first]);
      const health = () => weaviateHealth({ url: server.url, clock: wallClock });
      assert.equal((await health()).readOnly, []);
      const shards = `${server.url}/v1/schema/${className(version)}/shards`;
      const [shard] = (await (await fetch(shards)).json()) as { name: string }[];
      const become = async (status: string) => {
        const headers = { 'content-type': 'application/json' };
        const body = JSON.stringify({ status });
        const answer = await fetch(`${shards}/${shard?.name ?? ''}`, { method: 'PUT', headers, body });
        assert.is(answer.status, 200);
      };
      await become('READONLY');
      for (const work of [() => index.put(version, objects), () => index.remove(version, idsOf([first]))]) {
        const { code, message } = await refused(work());
        assert.is(code, 'unavailable');
        assert.match(message, /DISK_USE_READONLY_PERCENTAGE.*READY/);
      }
      assert.equal((await health()).readOnly, [{ class: className(version), shard: shard?.name }]);
      assert.equal(await index.unfindable(version, own([first])), []);
      await become('READY');
      await index.put(version, objects);
    },
    slow,
  );
  test.run();
}
