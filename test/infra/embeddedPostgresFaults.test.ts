import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import * as assert from 'uvu/assert';
import { Refusal } from '../../domain/refusal.ts';
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from '../../infra/embeddedPostgres.ts';
import { prepareDataFolder } from '../../infra/embeddedPostgresFiles.ts';
import { suite } from '../harness.ts';

const SLOW = { deadlineMs: 120_000 };
const STUCK_MS = 3_000;

const test = suite('embedded Postgres faults');
const faults: string[] = [];
const children = new Set<ChildProcess>();
let root: string;
let database: EmbeddedPostgres;
let pool: pg.Pool;

async function openShared(extra: Partial<EmbeddedPostgresOptions> = {}): Promise<void> {
  database = await startEmbeddedPostgres({
    dataDir: join(root, 'shared'),
    onFault: (error) => faults.push(error.message),
    stuckMs: STUCK_MS,
    ...extra,
  });
  pool = new pg.Pool({ ...database.connection, max: 4 });
  pool.on('error', () => undefined);
  pool.on('connect', (client) => void client.on('error', () => undefined));
}

async function closeShared(): Promise<void> {
  await pool.end();
  await database.stop();
}

async function refusalOf(work: Promise<unknown>): Promise<Refusal> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof Refusal) return error;
  throw new Error('was not refused');
}

async function until(holds: () => boolean | Promise<boolean>, withinMs = 40_000): Promise<void> {
  const start = performance.now();
  while (!(await holds())) {
    if (performance.now() - start > withinMs) throw new Error('did not come true in time');
    await sleep(20);
  }
}

/** Its process, and the lines it has printed so far. */
function startChild(dataDir: string): { child: ChildProcess; lines: string[] } {
  const file = fileURLToPath(new URL('./embeddedPostgresChild.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', file, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  child.once('exit', () => children.delete(child));
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  return { child, lines };
}

async function kill(child: ChildProcess): Promise<void> {
  // One that was refused has ended by itself, and its event will not come again.
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

async function scalar(sql: string, values: unknown[] = []): Promise<unknown> {
  const { rows } = await pool.query<{ value: unknown }>(sql, values);
  return rows[0]?.value;
}

test.before(async () => {
  root = await mkdtemp(join(tmpdir(), 'colloquy-test-'));
  await openShared();
  await pool.query('CREATE TABLE items (id bigserial PRIMARY KEY, text text NOT NULL)');
  await pool.query(`INSERT INTO items (text) VALUES ('first')`);
});

test.after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await closeShared();
  await rm(root, { recursive: true, force: true });
});

test(
  'opens again after the engine stopped answering',
  async () => {
    await scalar('SELECT count(*) AS value FROM generate_series(1, 1000000000000)').then(
      () => assert.unreachable(),
      () => undefined,
    );
    await until(() => database.stats().restarts === 1 && database.stats().open);
    assert.is(faults.length, 1);
    assert.match(faults[0] ?? '', /stopped answering/);
    assert.is(await scalar('SELECT count(*)::int AS value FROM items'), 1);
  },
  SLOW,
);

test(
  'keeps its data over an orderly restart, and checkpoints by itself',
  async () => {
    await closeShared();
    await openShared({ checkpointWalBytes: 1_000_000, upkeepEveryMs: 50 });
    assert.is(await scalar('SELECT count(*)::int AS value FROM items'), 1);
    const texts = Array.from({ length: 4_000 }, () => 'x'.repeat(500));
    await pool.query('INSERT INTO items (text) SELECT unnest($1::text[])', [texts]);
    // A checkpoint may have come between the first rows and the last; the one that counts leaves little behind.
    await until(() => database.stats().checkpoints > 0 && database.stats().walBytesSinceCheckpoint < 1_000_000);
    await database.analyze(['items', 'public.items']);
    assert.ok(Number(await scalar(`SELECT reltuples AS value FROM pg_class WHERE relname = 'items'`)) >= 4_000);
  },
  SLOW,
);

test(
  'keeps a second user out of its folder and names the first',
  async () => {
    const refusal = await refusalOf(startEmbeddedPostgres({ dataDir: join(root, 'shared'), onFault: () => undefined }));
    assert.is(refusal.code, 'conflict');
    const { lines, child } = startChild(join(root, 'shared'));
    await until(() => lines.length > 0);
    assert.match(lines[0] ?? '', `refused The data folder is in use by process ${process.pid}:`);
    await kill(child);
  },
  SLOW,
);

test(
  'loses nothing acknowledged when the process is killed',
  async () => {
    const dataDir = join(root, 'killed');
    const acknowledged = new Set<number>();
    for (const lifeMs of [150, 400, 800]) {
      const { child, lines } = startChild(dataDir);
      await until(() => lines.length > 2);
      assert.is(lines[0], 'open');
      await sleep(lifeMs);
      await kill(child);
      for (const line of lines.slice(1)) acknowledged.add(Number(line));
    }
    assert.ok(acknowledged.size > 30, `${acknowledged.size} rows were acknowledged`);
    const reopened = await startEmbeddedPostgres({ dataDir, onFault: () => undefined });
    const client = new pg.Client(reopened.connection);
    await client.connect();
    const { rows } = await client.query<{ id: string }>('SELECT id FROM kept');
    await client.end();
    await reopened.stop();
    const kept = new Set(rows.map((row) => Number(row.id)));
    assert.equal(
      [...acknowledged].filter((id) => !kept.has(id)),
      [],
    );
  },
  SLOW,
);

test(
  'makes a first start that was cut off again, with a path too long for a socket',
  async () => {
    const dataDir = join(root, 'long'.repeat(30));
    const { child } = startChild(dataDir);
    await until(() => existsSync(join(dataDir, 'pgdata', 'base')));
    await kill(child);
    assert.ok(existsSync(join(dataDir, 'initialising')));
    assert.not(existsSync(join(dataDir, 'ready')));
    const again = await startEmbeddedPostgres({ dataDir, onFault: () => undefined });
    assert.not(again.connection.host.startsWith(dataDir));
    const client = new pg.Client(again.connection);
    await client.connect();
    assert.equal((await client.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
    await client.end();
    await again.stop();
    assert.not(existsSync(again.connection.host));
    assert.equal(await prepareDataFolder(dataDir), { pgdata: join(dataDir, 'pgdata'), fresh: false });
  },
  SLOW,
);

test('never touches a database it did not make, nor makes a lost one anew', async () => {
  const foreign = join(root, 'foreign');
  await mkdir(join(foreign, 'pgdata'), { recursive: true });
  await writeFile(join(foreign, 'pgdata', 'PG_VERSION'), '18\n');
  assert.is((await refusalOf(prepareDataFolder(foreign))).code, 'unavailable');
  assert.ok(existsSync(join(foreign, 'pgdata', 'PG_VERSION')));
  const lost = join(root, 'lost');
  await mkdir(lost);
  await writeFile(join(lost, 'ready'), '');
  assert.is((await refusalOf(prepareDataFolder(lost))).code, 'unavailable');
});

test.run();
