/** The EventStoreDB stand-in killed and started again on its data file: nothing acknowledged is lost, nothing doubled. */
import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type EventData, EventStoreDBClient, jsonEvent } from '@eventstore/db-client';
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';

const test = suite('EventStoreDB stand-in restarts');
const MAIN = join(import.meta.dirname, 'eventstoredbMain.ts');
const credentials = { username: 'nobody', password: 'ignored' };
let folder: string;
let data: string;
const children: ChildProcess[] = [];

test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'eventstoredb-standin-'));
  data = join(folder, 'log.ndjson');
});

test.after.each(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

async function start(port = 0): Promise<{ url: string; port: number; end(signal: NodeJS.Signals): Promise<unknown> }> {
  const stdio = ['ignore', 'pipe', 'inherit'] as const;
  const args = ['--import', 'tsx', MAIN, '--port', String(port), '--data', data];
  const child = spawn(process.execPath, args, { stdio: [...stdio] });
  children.push(child);
  const line = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`ended with ${code} before it listened`)));
    if (child.stdout) createInterface(child.stdout).once('line', resolve);
  });
  const { url } = JSON.parse(line) as { url: string };
  const end = async (signal: NodeJS.Signals): Promise<unknown> => {
    const ended = new Promise((resolve) => child.once('exit', (code, by) => resolve(by ?? code)));
    child.kill(signal);
    return await ended;
  };
  return { url, port: Number(new URL(url.replace('esdb', 'http')).port), end };
}

async function withClient<T>(url: string, work: (client: EventStoreDBClient) => Promise<T>): Promise<T> {
  const client = EventStoreDBClient.connectionString(url);
  try {
    return await work(client);
  } finally {
    await client.dispose();
  }
}

async function read(client: EventStoreDBClient, stream: string): Promise<unknown[]> {
  const seen: unknown[] = [];
  for await (const { event } of client.readStream(stream)) seen.push([event?.revision, event?.id, event?.position]);
  return seen;
}

const numbered = (n: number): EventData =>
  jsonEvent({ id: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`, type: 'T', data: { n } });

test(
  'kill -9 while appending: what was acknowledged is there once, and the same append is answered as before',
  async () => {
    const first = await start();
    const acknowledged: unknown[] = [];
    let sent = 0;
    await withClient(first.url, async (client) => {
      const writing = (async () => {
        for (; ; sent += 1) {
          const expectedRevision = sent === 0 ? 'no_stream' : BigInt(sent - 1);
          const result = await client.appendToStream('s', numbered(sent), { expectedRevision, credentials });
          acknowledged.push([result.nextExpectedRevision, numbered(sent).id, result.position]);
          if (sent === 20) void first.end('SIGKILL');
        }
      })();
      await writing.catch(() => undefined);
    });
    const second = await start(first.port);
    assert.is(second.port, first.port);
    await withClient(second.url, async (client) => {
      const kept = await read(client, 's');
      assert.ok(acknowledged.length > 20);
      assert.equal(kept.slice(0, acknowledged.length), acknowledged);
      const again = { expectedRevision: BigInt(sent - 1), credentials };
      const result = await client.appendToStream('s', numbered(sent), again);
      assert.is(result.nextExpectedRevision, BigInt(sent));
      assert.is((await read(client, 's')).length, sent + 1);
    });
    assert.is(await second.end('SIGTERM'), 0);
  },
  { deadlineMs: 60_000 },
);

test(
  'C6: the same append with any is recognized before a restart, and stored a second time after it',
  async () => {
    const first = await start();
    const any = { expectedRevision: 'any', credentials } as const;
    await withClient(first.url, async (client) => {
      await client.appendToStream('s', numbered(1), any);
      await client.appendToStream('s', numbered(1), any);
      assert.is((await read(client, 's')).length, 1);
    });
    await first.end('SIGKILL');
    const second = await start(first.port);
    await withClient(second.url, async (client) => {
      await client.appendToStream('s', numbered(1), any);
      assert.is((await read(client, 's')).length, 2);
    });
  },
  { deadlineMs: 60_000 },
);

test(
  'a line that a kill cut short is taken away',
  async () => {
    const first = await start();
    await withClient(first.url, async (client) => await client.appendToStream('s', numbered(1), { credentials }));
    await first.end('SIGKILL');
    appendFileSync(data, '[{"position":99,"sizeB');
    const second = await start(first.port);
    await withClient(second.url, async (client) => {
      await client.appendToStream('s', numbered(2), { expectedRevision: 0n, credentials });
    });
    await second.end('SIGKILL');
    const third = await start(first.port);
    await withClient(third.url, async (client) => assert.is((await read(client, 's')).length, 2));
  },
  { deadlineMs: 60_000 },
);

test.run();
