/** Rows about how soon viewers of a live discussion see what was committed. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import express, { type Response } from 'express';
import { openDiscussion, openDiscussionSchema } from '../../commands/openDiscussion.ts';
import { postMessage } from '../../commands/postMessage.ts';
import { eventFrame } from '../../api/feed.ts';
import { startService, type Service } from '../service.ts';
import { askedBy } from './discussions.ts';
import { percentile, sharedNowMs, type Report } from './measure.ts';
import type { Place } from './place.ts';
import { countStatements, type StatementCount } from './statements.ts';
import type { Seen, Viewing } from './viewers.ts';
import { prose } from './zeroLatencyModel.ts';

const OPEN_MS = 60_000;
const SEEN_MS = 60_000;
/** Between two events: long enough for the last viewer of the one before. */
const PAUSE_MS = 40;

/** Delay from commit to 200 and 1,000 viewers in another process; floor: bare express writing the same frame to all. */
export async function sseRows(place: Place, report: Report): Promise<void> {
  const service = await startService(place.settings, place.log, { nextFreePort: true });
  const statements = countStatements(service.running.storage.database.pool);
  try {
    for (const viewers of [200, 1_000]) {
      const events = place.quick ? 20 : 100;
      let [ours, floors]: [number[], number[]] = [[], []];
      await report(`SSE: p50 delay after commit, ${viewers.toLocaleString('en')} viewers`, async () => {
        ours = await throughService(service, statements, viewers, events);
        floors = await bare(service, viewers, events);
        return row(ours, floors, 50, events);
      });
      await report(`SSE: p99 delay after commit, ${viewers.toLocaleString('en')} viewers`, async () =>
        row(ours, floors, 99, events),
      );
    }
  } finally {
    await service.stop();
  }
}

function row(ours: readonly number[], floors: readonly number[], p: number, events: number) {
  const [value, floor] = [percentile(ours, p), percentile(floors, p)];
  return { unit: 'ms', ours: value, floor, ratio: value / floor, note: `${events} events` };
}

/** Milliseconds from each commit's answer to each viewer's reading. */
async function throughService(
  service: Service,
  statements: StatementCount,
  viewers: number,
  events: number,
): Promise<number[]> {
  const { engine } = service.running;
  const body = openDiscussionSchema.parse({ title: 'Live', topic: 'Watched', policy: { kind: 'manual' } });
  const { id } = await openDiscussion(engine, body, askedBy(engine));
  const path = `/api/v1/discussions/${id}/stream`;
  const child = await watch({ port: service.port, path, token: service.token, viewers, events });
  const at: number[] = [];
  try {
    for (let i = 0; i < events; i += 1) {
      await postMessage(engine, id, { content: prose(i, 300) }, askedBy(engine));
      at.push(Number(statements.lastAppendAt) / 1e6);
      await delay(PAUSE_MS + viewers / 20);
    }
    return delays(at, await seen(child));
  } finally {
    child.kill();
  }
}

/** A loop of writes of the frame that the service would send. */
async function bare(service: Service, viewers: number, events: number): Promise<number[]> {
  const open = new Set<Response>();
  const app = express();
  app.get('/', (_req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    res.write('event: caught-up\ndata: {}\n\n');
    open.add(res);
  });
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const frame = await sampleFrame(service);
  const child = await watch({ port, path: '/', token: '', viewers, events });
  const at: number[] = [];
  try {
    for (let i = 0; i < events; i += 1) {
      at.push(sharedNowMs());
      const text = frame.replace(/^id: \d+/, `id: ${i + 1}`);
      for (const res of open) res.write(text);
      await delay(PAUSE_MS + viewers / 20);
    }
    return delays(at, await seen(child));
  } finally {
    child.kill();
    server.close();
    server.closeAllConnections();
  }
}

async function sampleFrame(service: Service): Promise<string> {
  for await (const event of service.running.engine.store.readAll(0n))
    if (event.type === 'MessagePosted') return eventFrame(event);
  throw new Error('no message was posted');
}

/** Resolves when every viewer has seen `caught-up`. */
async function watch(viewing: Viewing): Promise<ChildProcess> {
  const child = fork(new URL('viewers.ts', import.meta.url), { timeout: OPEN_MS + SEEN_MS });
  child.send(viewing);
  await told(child, OPEN_MS);
  return child;
}

async function seen(child: ChildProcess): Promise<Seen> {
  child.send('done?');
  return told(child, SEEN_MS);
}

async function told(child: ChildProcess, deadlineMs: number): Promise<Seen> {
  const [message] = (await once(child, 'message', { signal: AbortSignal.timeout(deadlineMs) })) as [Seen];
  if (message.failed !== '') throw new Error(message.failed);
  return message;
}

function delays(at: readonly number[], { seenAtMs }: Seen): number[] {
  return seenAtMs.flatMap((times) => times.map((time, i) => Math.max(0, time - (at[i] ?? NaN))));
}
