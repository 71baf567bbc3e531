import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { DiscussionEvent } from '../../domain/discussion/events.ts';
import { audited } from '../domain/discussion/invariants.ts';
import { suite } from '../harness.ts';
import { killStarted, startProcess, type StartedProcess, type WireEvent } from './startProcess.ts';

const test = suite('colloquy start');
const folders: string[] = [];
test.after.each(async () => {
  await killStarted();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function dataDir(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'colloquy-start-'));
  folders.push(folder);
  return join(folder, 'data');
}

/** About a second and a half for each turn. */
const SLOW = { OFFLINE_TOKENS_PER_SECOND: '40' };

async function openTalk(on: StartedProcess, maxTurns: number): Promise<string> {
  const participants: { agentId: string }[] = [];
  for (const name of ['Ada', 'Basil', 'Clara']) {
    const model = { provider: 'offline', name: 'offline', parameters: { num_predict: 60 } };
    const agent = (await on.api('POST', '/agents', { name, instructions: `You are ${name}.`, model })) as {
      id: string;
    };
    participants.push({ agentId: agent.id });
  }
  const opened = (await on.api('POST', '/discussions', {
    title: 'Kill',
    topic: 'What survives a sudden end?',
    participants,
    limits: { maxTurns },
  })) as { id: string };
  return opened.id;
}

function only<T extends DiscussionEvent['type']>(
  events: readonly WireEvent[],
  type: T,
): Extract<WireEvent, { type: T }>[] {
  return events.filter((event): event is Extract<WireEvent, { type: T }> => event.type === type);
}

async function untilEvents(
  on: StartedProcess,
  id: string,
  holds: (events: readonly WireEvent[]) => boolean,
): Promise<WireEvent[]> {
  const start = performance.now();
  for (;;) {
    const events = await on.events(id);
    if (holds(events)) return events;
    if (performance.now() - start > 30_000) throw new Error(`not in time: ${events.map(({ type }) => type).join(' ')}`);
    await delay(100);
  }
}

/** Waits until turn `number` is being written, and a little more, then ends the process as the kernel would. */
async function killInTurn(on: StartedProcess, id: string, number: number): Promise<void> {
  await untilEvents(on, id, (events) => {
    const request = only(events, 'TurnRequested').find(({ data }) => data.number === number);
    return only(events, 'TurnClaimed').some(({ data }) => data.turnId === request?.data.turnId);
  });
  await delay(300);
  await on.end('SIGKILL');
}

test(
  'killed twice in the middle of a turn, the discussion goes on and every turn has one message',
  async () => {
    const folder = await dataDir();
    const first = startProcess(folder, { env: SLOW });
    const id = await openTalk(first, 6);
    await killInTurn(first, id, 2);
    const second = startProcess(folder, { env: SLOW });
    await killInTurn(second, id, 4);
    const third = startProcess(folder, { env: { OFFLINE_TOKENS_PER_SECOND: '400' } });
    const restartedAt = Date.now();
    await third.url();
    const servesMs = Date.now() - restartedAt;
    const events = await untilEvents(third, id, (all) => only(all, 'DiscussionConcluded').length > 0);
    assert.equal(
      events.map(({ revision }) => revision),
      events.map((_, i) => i),
    );
    const audit = audited(
      events.map((event) => ({ event, revision: event.revision, atMs: Date.parse(event.occurredAt) })),
    );
    assert.equal([audit.turns, audit.completed.size, audit.messages.size, audit.outstanding.size], [6, 6, 6, 0]);
    const lost = only(events, 'TurnAttemptAbandoned');
    assert.equal(
      lost.map(({ data }) => [data.reason, data.detail, data.usage.source]),
      [1, 2].map(() => ['lease_lost', 'its worker was started again', 'reserved']),
    );
    assert.ok(
      lost.every(({ data }) => data.usage.inputTokens > 0),
      'the lost attempts are charged',
    );
    const turns = (await third.api('GET', `/discussions/${id}/turns`)) as {
      data: { number: number; status: string }[];
    };
    assert.equal(
      turns.data.map(({ number, status }) => [number, status]).sort(),
      [1, 2, 3, 4, 5, 6].map((number) => [number, 'completed']),
    );
    const [, again] = only(events, 'TurnClaimed').filter(({ data }) => data.turnId === lost[1]?.data.turnId);
    const tookMs = Date.parse(again?.occurredAt ?? '') - restartedAt;
    console.log(`after kill -9: serves ${servesMs} ms and goes on with the turn ${tookMs} ms after its start`);
    assert.is(await third.end('SIGTERM'), 0);
  },
  { deadlineMs: 100_000 },
);

test(
  'a busy port, a second process on the same folder, and an end by SIGINT',
  async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    const folder = await dataDir();
    const first = startProcess(folder, { env: { ...SLOW, PORT: String(port) } });
    const url = await first.url();
    const used = Number(new URL(url).port);
    assert.ok(used > port && used <= port + 20, `the next free port after ${port} is taken: ${used}`);
    assert.match(first.errors(), `port ${port} is busy: using ${used}`);
    taken.close();

    const second = startProcess(folder);
    assert.is(await second.ended(), 4, 'the exit code for a conflict');
    assert.match(second.errors(), new RegExp(`^colloquy: .*in use by .*${first.pid}.*`, 'm'));
    assert.not.match(second.errors(), /^\s+at /m, 'no stack');
    assert.is(await first.url(), url, 'the first one is still the one that serves');

    assert.equal(((await first.api('GET', '/discussions')) as { data: unknown[] }).data, [], '--no-demo opens nothing');
    const id = await openTalk(first, 3);
    await untilEvents(first, id, (events) => only(events, 'TurnClaimed').length === 1);
    assert.is(await first.end('SIGINT'), 0);
    assert.match(first.errors(), /stopping: /);
    assert.match(first.errors(), `everything is kept in ${folder}`);
    assert.not.ok((await readdir(folder)).includes('service.json'));
    const again = startProcess(folder, { env: { OFFLINE_TOKENS_PER_SECOND: '400' } });
    const events = await untilEvents(again, id, (all) => only(all, 'DiscussionConcluded').length > 0);
    assert.is(only(events, 'TurnCompleted').length, 3);
    assert.is(only(events, 'TurnAttemptAbandoned').length, 0, 'the running turn was given its time to end');
    await again.end('SIGTERM');
  },
  { deadlineMs: 100_000 },
);

test(
  'without --no-demo an empty log gets one demo discussion',
  async () => {
    const on = startProcess(await dataDir(), { args: [], env: { OFFLINE_TOKENS_PER_SECOND: '2000' } });
    await on.url();
    const list = async () => ((await on.api('GET', '/discussions')) as { data: { title: string }[] }).data;
    const start = performance.now();
    while ((await list()).length === 0 && performance.now() - start < 10_000) await delay(100);
    assert.equal(
      (await list()).map(({ title }) => title),
      ['A demo discussion'],
    );
    await on.end('SIGTERM');
  },
  { deadlineMs: 60_000 },
);
test.run();
