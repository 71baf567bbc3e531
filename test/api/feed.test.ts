/** The feed and its viewers, step by step on a log in memory: what is sent when a client has no room, or goes. */
import * as assert from 'uvu/assert';
import { startFeed, type Feed } from '../../api/feed.ts';
import { followDiscussion } from '../../api/follow.ts';
import { followProject } from '../../api/followProject.ts';
import type { SseConnection } from '../../api/sse.ts';
import { cancelTurn } from '../../commands/cancelTurn.ts';
import { concludeDiscussion } from '../../commands/concludeDiscussion.ts';
import type { Engine } from '../../commands/engine.ts';
import { postMessage } from '../../commands/postMessage.ts';
import type { Delta, EventStore } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import type { Telemetry } from '../../domain/telemetry.ts';
import { createMemoryBus } from '../../infra/memoryBus.ts';
import { asked, createWorld, processOn, type World } from '../commands/engineForTests.ts';
import { aDiscussion, turnOf } from '../commands/scenes.ts';
import { suite } from '../harness.ts';

const test = suite('feed');

interface Client extends SseConnection {
  readonly sent: string[];
  full: boolean;
  /** The client takes what is there. */
  drains(): void;
}

function client(): Client {
  const over = new AbortController();
  const sent: string[] = [];
  let waiting: (() => void)[] = [];
  const wake = () => {
    for (const resolve of waiting.splice(0)) resolve();
    waiting = [];
  };
  const self: Client = {
    sent,
    full: false,
    signal: over.signal,
    get roomy() {
      return !self.full;
    },
    send(frame) {
      if (!over.signal.aborted) sent.push(frame);
    },
    async room() {
      while (self.full && !over.signal.aborted) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    close(last) {
      if (last !== undefined && !over.signal.aborted) sent.push(last);
      over.abort();
      wake();
    },
    drains() {
      self.full = false;
      wake();
    },
  };
  return self;
}

const soon = () => new Promise((resolve) => setTimeout(resolve, 15));
const silentTelemetry: Telemetry = { count: () => undefined, set: () => undefined, observe: () => undefined };
const quiet = { error: () => undefined, warn: () => undefined, info: () => undefined, debug: () => undefined };
const names = ({ sent }: Client) => sent.map((frame) => /event: (\S+)/.exec(frame)?.[1]);
const ids = ({ sent }: Client) => sent.flatMap((frame) => /^id: (\d+)/.exec(frame)?.[1] ?? []).map(Number);

interface Scene {
  readonly world: World;
  readonly engine: Engine;
  readonly feed: Feed;
  readonly id: string;
  readonly turnId: string;
  readonly bus: ReturnType<typeof createMemoryBus>;
  readonly follow: (connection: Client, after?: number) => Promise<void>;
  readonly say: () => Promise<unknown>;
  readonly delta: (offset: number, text: string, more?: Partial<Delta>) => void;
}

async function scene(through?: (store: EventStore) => EventStore): Promise<Scene> {
  const world = createWorld();
  const engine = await processOn(world, through === undefined ? {} : { through });
  const opened = await aDiscussion(engine);
  const { id } = opened;
  const turnId = turnOf(opened);
  const bus = createMemoryBus();
  const feed = await startFeed(engine, bus, quiet);
  const discussion = { id, project: 'default' };
  const writer = await processOn(world);
  return {
    world,
    engine,
    feed,
    id,
    turnId,
    bus,
    follow: (connection, after = -1) =>
      followDiscussion({ store: engine.store, feed, telemetry: silentTelemetry, connection, discussion, after }),
    say: () => postMessage(writer, id, { content: 'Hello.' }, asked()),
    delta: (offset, text, more = {}) =>
      bus.publish({ project: 'default', discussionId: id, turnId, attempt: 1, offset, text, ...more }),
  };
}

test('a client without room loses deltas, and gets every event when it has room again', async () => {
  const { feed, follow, say, delta } = await scene();
  const [slow, other] = [client(), client()];
  const following = [follow(slow), follow(other)];
  await soon();
  slow.full = true;
  for (let i = 0; i < 5; i += 1) {
    delta(i, 'x');
    await say();
  }
  await soon();
  assert.equal(ids(slow), [0, 1, 2, 3]);
  assert.not(names(slow).includes('delta'));
  assert.equal(ids(other), [0, 1, 2, 3, 4, 5, 6, 7, 8], 'the other one waits for nobody');
  assert.is(names(other).filter((name) => name === 'delta').length, 5);
  slow.drains();
  await soon();
  assert.equal(ids(slow), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  assert.match(slow.sent.at(-1) ?? '', /"offset":0,"text":"xxxxx"/, 'and the text under way from its start');
  slow.close();
  other.close();
  await Promise.all(following);
  feed.stop();
});

test('a client that goes while history is read is let go at once', async () => {
  const leaving = client();
  const { feed, follow } = await scene((store) => ({
    ...store,
    async *read(stream, options) {
      for await (const event of store.read(stream, options)) {
        if (event.revision === 2) leaving.close();
        yield event;
      }
    },
  }));
  await follow(leaving);
  feed.stop();
});

test('a client that goes while a project’s history is read is let go at once', async () => {
  const leaving = client();
  const { world, feed } = await scene();
  const store: EventStore = {
    ...world.log,
    async *readAll(after, options) {
      leaving.close();
      yield* world.log.readAll(after, options);
    },
  };
  await followProject({ store, feed, connection: leaving, project: 'default', after: 0n, frame: () => 'x' });
  assert.equal(leaving.sent, []);
  feed.stop();
});

test('a read that fails while an end is announced does not silence the feed', async () => {
  let failing = false;
  const { feed, follow, id, world } = await scene((store) => ({
    ...store,
    async *read(stream, options) {
      if (failing) {
        failing = false;
        throw new Refusal('unavailable', 'the database is away for a moment');
      }
      yield* store.read(stream, options);
    },
  }));
  const viewer = client();
  const following = follow(viewer);
  await soon();
  failing = true;
  await concludeDiscussion(await processOn(world), id, {}, asked());
  await following;
  assert.equal(ids(viewer), [0, 1, 2, 3, 4, 5]);
  assert.is(names(viewer).at(-1), 'end');
  feed.stop();
});

test('a lost delta: who comes later is not shown a text with a hole', async () => {
  const { feed, follow, delta, id } = await scene();
  const viewer = client();
  const following = follow(viewer);
  await soon();
  delta(0, 'ab');
  delta(5, 'fg');
  await soon();
  assert.is(feed.underWay(id), null);
  assert.is(names(viewer).filter((name) => name === 'delta').length, 2, 'who watches sees the offset');
  delta(0, 'new ', { attempt: 2 });
  delta(4, 'try', { attempt: 2 });
  await soon();
  assert.match(feed.underWay(id) ?? '', /"attempt":2,"offset":0,"text":"new try"/);
  viewer.close();
  await following;
  feed.stop();
});

test('a delta that comes after its turn’s end is not sent', async () => {
  const { feed, follow, delta, id, world, turnId } = await scene();
  const viewer = client();
  const following = follow(viewer);
  await soon();
  delta(0, 'a');
  await soon();
  await cancelTurn(await processOn(world), id, turnId, asked());
  await soon();
  delta(1, 'b');
  await soon();
  assert.equal(names(viewer).slice(-2), ['TurnCancelled', 'TurnRequested']);
  assert.is(feed.underWay(id), null);
  viewer.close();
  await following;
  feed.stop();
});

test('a bus whose deltas end in an error ends neither the process nor its viewers', async () => {
  const engine = await processOn(createWorld());
  const next = () => Promise.reject(new Error('no deltas'));
  const bus = { ...createMemoryBus(), deltas: () => ({ [Symbol.asyncIterator]: () => ({ next }) }) };
  let told: (message: string) => void = () => undefined;
  const warned = new Promise<string>((resolve) => (told = resolve));
  const feed = await startFeed(engine, bus, { ...quiet, warn: (_fields, message) => told(message) });
  const leave = feed.watch({ id: 'd', project: 'p' }, () => undefined);
  assert.is(await warned, 'answers cannot be shown as they come');
  leave();
  feed.stop();
});

test.run();
