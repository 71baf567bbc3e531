/** The worker of docs/events-on-nats.md runs as it stands there. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import { onTheWire } from '../domain/envelope.ts';
import type { Announcements } from '../domain/ports.ts';
import { eventsAt } from './contracts/announcements.ts';
import { until } from './contracts/busUsers.ts';
import { suite } from './harness.ts';
import { type Installation, natsInstallation } from './infra/natsInstallation.ts';
import { environmentWith, natsForTests, type TestNats } from './services.ts';

const test = suite('events on NATS, as documented');
const root = dirname(import.meta.dirname);
const log = eventsAt(...Array.from({ length: 20 }, (_, i) => 2 * i + 1));

let nats: TestNats;
let installation: Installation;
let announcements: Announcements;
let api: Server;
let folder: string;
/** How many events of the log are committed. */
let committed = 0;

test.before(async () => {
  nats = await natsForTests();
  installation = natsInstallation(nats.url);
  const bus = installation.bus();
  await bus.check();
  announcements = bus.announcements;
  api = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost');
    const known = pathname === '/api/v1/events' && request.headers.authorization === 'Bearer let-me-in';
    const after = BigInt(searchParams.get('after') ?? '0');
    const rest = log.slice(0, committed).filter(({ position }) => position > after);
    const data = rest.slice(0, Number(searchParams.get('limit'))).map(onTheWire);
    response.writeHead(known ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify({ data }));
  }).listen(0, '127.0.0.1');
  await once(api, 'listening');
  folder = await mkdtemp(join(tmpdir(), 'colloquy-events-'));
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  const document = await readFile(join(root, 'docs/events-on-nats.md'), 'utf8');
  await writeFile(join(folder, 'worker.mjs'), /```js\n([\s\S]*?)```/.exec(document)?.[1] ?? '');
});

test.after(async () => {
  api.close();
  api.closeAllConnections();
  await installation.stop();
  await nats.stop();
  await rm(folder, { recursive: true });
});

/** The documented worker, and the positions it has printed. */
function worker(): { readonly printed: string[]; stop(): Promise<void> } {
  const address = api.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  const child: ChildProcess = spawn(process.execPath, ['worker.mjs'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: environmentWith({
      NATS_URL: nats.url,
      STREAM: installation.names.events.stream,
      API: `http://127.0.0.1:${port}`,
      TOKEN: 'let-me-in',
    }),
  });
  const printed: string[] = [];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    for (const [, position = ''] of text.matchAll(/^(\d+) MessagePosted$/gm)) printed.push(position);
  });
  return {
    printed,
    async stop() {
      child.kill();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}

/** Commits up to `count` events and announces those from `from` on. */
async function announce(from: number, count: number): Promise<void> {
  committed = count;
  await announcements.announce(log.slice(from, count), await announcements.last());
}

function positionsOf(from: number, to: number): string[] {
  return log.slice(from, to).map(({ position }) => position.toString());
}

test(
  'a worker gets what was there before it, what comes, and after a purge what the stream no longer has',
  async () => {
    await announce(3, 6);
    const first = worker();
    await until(() => first.printed.length >= 6, 20_000);
    await announce(6, 9);
    await until(() => first.printed.length >= 9, 20_000);
    const noted = log[8]?.position.toString() ?? '';
    // It may only be killed between two events, else it would rightly repeat one.
    await until(() => readFileSync(join(folder, 'position'), 'utf8') === noted);
    await first.stop();
    assert.equal(first.printed, positionsOf(0, 9));
    await announce(9, 13);
    await (await installation.manager()).streams.purge(installation.names.events.stream);
    await announce(13, 15);
    const second = worker();
    await until(() => second.printed.length >= 6, 20_000);
    await announce(15, 20);
    await until(() => second.printed.length >= 11, 20_000);
    await second.stop();
    assert.equal(second.printed, positionsOf(9, 20));
  },
  { deadlineMs: 90_000 },
);

test('subjects, headers and the path of the API are as documented', async () => {
  const document = await readFile(join(root, 'docs/events-on-nats.md'), 'utf8');
  const [message] = await installation.announced();
  const pattern = /`(colloquy\.<installation>[^`]+)`/.exec(document)?.[1] ?? '';
  assert.is(message?.subject.split('.').length, pattern.split('.').length);
  assert.match(message?.subject ?? '', /^colloquy\.[0-9a-f]{12}\.events\.default\.discussion\.MessagePosted$/);
  const stream = /`(colloquy_<installation>[^`]+)`/.exec(document)?.[1] ?? '';
  assert.is(stream.replace('<installation>', installation.lineage.slice(-12)), installation.names.events.stream);
  assert.match(await readFile(join(root, 'api/routes/events.ts'), 'utf8'), /path: '\/events'/);
});

test.run();
