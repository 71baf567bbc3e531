/** Projectors in processes of their own: all start at once on an empty database, some are killed, the others go on. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import * as assert from 'uvu/assert';
import type { RecordedEvent } from '../../domain/envelope.ts';
import { openDatabase } from '../../infra/database.ts';
import { migrate } from '../../infra/migrate.ts';
import { createPostgresEventStore } from '../../infra/postgresEventStore.ts';
import { watchCheckpoints } from '../../projections/checkpointWatch.ts';
import { readModels } from '../../projections/readModels.ts';
import { plainCodec } from '../contracts/sampleEvents.ts';
import { suite } from '../harness.ts';
import { environmentWith, postgresForTests } from '../services.ts';
import { wallClock } from '../standins/wallClock.ts';
import { appendAll, history } from './events.ts';
import { assertEqualsFold } from './readModelDatabase.ts';

const test = suite('projectors in several processes');
const names = readModels.map((each) => each.name);
const children = new Set<ChildProcess>();
test.after(() => {
  for (const child of children) child.kill('SIGKILL');
});

interface Projecting {
  /** What it printed first: `projecting` when all went well. */
  readonly begun: Promise<string>;
  readonly said: string[];
  /** As by a power cut of that process. */
  kill(): Promise<void>;
  /** Lets it finish; answers its exit code. */
  end(): Promise<number | null>;
}

function startProjecting(url: string): Projecting {
  const program = join(import.meta.dirname, 'projectingChild.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', program, url], {
    env: environmentWith({}),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.add(child);
  const exited = once(child, 'exit').then(([code]: (number | null)[]) => code ?? null);
  const said: string[] = [];
  const begun = new Promise<string>((resolve) => {
    createInterface(child.stdout).on('line', (line) => {
      said.push(line);
      resolve(said[0] ?? '');
    });
    void exited.then((code) => resolve(`ended with ${code}`));
  });
  return {
    begun,
    said,
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    async end() {
      child.stdin.end();
      return await exited;
    },
  };
}

test(
  'five start at once on an empty database, four are killed while they work, I5 holds',
  async () => {
    const server = await postgresForTests();
    const started = Array.from({ length: 5 }, () => startProjecting(server.url));
    const begun = await Promise.all(started.map((each) => each.begun));
    assert.equal(begun, Array(5).fill('projecting'));

    const database = openDatabase({ connection: server.url, poolMax: 3, embedded: false, applicationName: 'test' });
    await migrate(database.knex);
    const store = createPostgresEventStore({ pool: database.pool, codec: plainCodec, embedded: false });
    const watch = watchCheckpoints(database.knex, wallClock, readModels);
    const all = history({ seed: 50, discussions: 6, batches: 300 });
    for (const [i, batch] of all.entries()) {
      const position = await appendAll(store, [batch]);
      // Killed at whatever they are just doing with this event.
      if (i % 60 === 30) await started[Math.floor(i / 60)]?.kill();
      if (i % 25 === 0) assert.ok(await watch.waitFor(position, names, { timeoutMs: 15_000 }), `behind at ${i}`);
      if (i === 239) break;
    }
    const last = started.at(-1);
    const position = await appendAll(store, all.slice(240));
    assert.ok(await watch.waitFor(position, names, { timeoutMs: 15_000 }));
    assert.is(await last?.end(), 0);
    assert.equal(last?.said, ['projecting']);
    const events: RecordedEvent[] = [];
    for await (const event of store.readAll(0n)) events.push(event);
    await assertEqualsFold(database.knex, readModels, events);
    await store.close();
    await database.close();
    await server.stop();
  },
  { deadlineMs: 150_000 },
);

test.run();
