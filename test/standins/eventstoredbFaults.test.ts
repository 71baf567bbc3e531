/** Each fault of the EventStoreDB stand-in does what its docstring says, seen through the real client. */
import { EventStoreDBClient, jsonEvent, NotLeaderError, START, streamNameFilter } from '@eventstore/db-client';
import gossipGrpc from '@eventstore/db-client/generated/gossip_grpc_pb.js';
import type gossipPb from '@eventstore/db-client/generated/gossip_pb.js';
import sharedPb from '@eventstore/db-client/generated/shared_pb.js';
import { credentials as channels } from '@grpc/grpc-js';
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { type EventStoreStandin, startEventStoreStandin } from './eventstoredb.ts';
import { replayClients } from './eventstoredbReplay.ts';
import { readMessage, sentSchema } from './eventstoredbSent.ts';

const test = suite('EventStoreDB stand-in faults');
/** Selects the client's unary append. */
const credentials = { username: 'nobody', password: 'ignored' };
let standin: EventStoreStandin;
let client: EventStoreDBClient;

test.before(async () => {
  standin = await startEventStoreStandin();
});

test.before.each(async () => {
  await standin.faults.clear();
  client = EventStoreDBClient.connectionString(standin.url);
});

test.after.each(async () => {
  // After a batch stream that the server ended it never settles.
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([client.dispose(), new Promise((resolve) => (timer = setTimeout(resolve, 1_000)))]);
  clearTimeout(timer);
});

test.after(async () => {
  await standin.stop();
});

async function append(stream: string, options: object = {}): Promise<bigint> {
  const event = jsonEvent({ id: idOf(stream), type: 'T', data: {} });
  const result = await client.appendToStream(stream, event, { expectedRevision: 'no_stream', credentials, ...options });
  return result.nextExpectedRevision;
}

function idOf(stream: string): string {
  return `00000000-0000-4000-8000-${Buffer.from(stream.slice(0, 6)).toString('hex').padStart(12, '0')}`;
}

/** The `type` of the error that an append ends with. */
async function failure(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => 'none',
    (error: unknown) => (error instanceof Error && 'type' in error ? String(error.type) : String(error)),
  );
}

async function revisions(stream: string): Promise<number> {
  let count = 0;
  try {
    for await (const _event of client.readStream(stream)) count += 1;
  } catch (error) {
    if (!(error instanceof Error && error.message.endsWith('not found'))) throw error;
  }
  return count;
}

async function members(): Promise<gossipPb.ClusterInfo.AsObject['membersList']> {
  const gossip = new gossipGrpc.GossipClient(`127.0.0.1:${standin.port}`, channels.createInsecure());
  try {
    return await new Promise((resolve, reject) =>
      gossip.read(new sharedPb.Empty(), (error, info) =>
        error ? reject(error) : resolve(info.toObject().membersList),
      ),
    );
  } finally {
    gossip.close();
  }
}

test('mute: never answered, nothing written', async () => {
  await standin.faults.set('mute');
  assert.is(await failure(append('mute', { deadline: 300 })), 'deadline-exceeded');
  await standin.faults.clear();
  assert.is(await revisions('mute'), 0);
});

test('mute: a subscription falls silent in the middle and goes on afterwards', async () => {
  const events = Array.from({ length: 400 }, () => jsonEvent({ type: 'T', data: 'x'.repeat(2_000) }));
  await client.appendToStream('silent', events, { credentials });
  const subscription = client.subscribeToStream('silent');
  const seen: bigint[] = [];
  const all = new Promise<void>((resolve, reject) => {
    subscription.on('error', reject).on('data', ({ event }) => {
      if (seen.length === 0) standin.faults.set('mute').catch(reject);
      if (event && seen.push(event.revision) === events.length) resolve();
    });
  });
  await new Promise((resolve) => subscription.once('data', resolve));
  assert.is(await failure(append('mute', { deadline: 300 })), 'deadline-exceeded');
  assert.ok(seen.length < events.length);
  await standin.faults.clear();
  await all;
  assert.equal(
    seen,
    events.map((_event, index) => BigInt(index)),
  );
  await subscription.unsubscribe();
});

test('resetAfterCommit: the connection is cut, the event is there, the repeated append meets it', async () => {
  await standin.faults.set('resetAfterCommit', { times: 1 });
  assert.match(await failure(append('reset')), /unavailable|cancelled|unknown/);
  assert.is(await revisions('reset'), 1);
  assert.is(await append('reset'), 0n);
  assert.is(await revisions('reset'), 1);
});

test('halfClose: the batch append never settles, the event is there', async () => {
  await standin.faults.set('halfClose', { times: 1 });
  let settled = false;
  const pending = append('half', { credentials: undefined });
  pending.then(
    () => (settled = true),
    () => (settled = true),
  );
  const subscription = client.subscribeToStream('half');
  await new Promise((resolve) => subscription.on('data', resolve));
  await subscription.unsubscribe();
  assert.is(await revisions('half'), 1);
  assert.not.ok(settled);
});

test('late: the caller gives up, the event is there', async () => {
  await standin.faults.set('late', { delayMs: 60_000 });
  assert.is(await failure(append('late', { deadline: 300 })), 'deadline-exceeded');
  assert.is(await revisions('late'), 1);
  await standin.faults.set('late', { delayMs: 50 });
  assert.is(await append('later'), 0n);
});

test('notReady: unavailable by unary, unknown by batch; gossip says initializing', async () => {
  await standin.faults.set('notReady');
  assert.is(await failure(append('ready')), 'unavailable');
  assert.is((await members())[0]?.state, 0);
  await standin.faults.clear();
  assert.is((await members())[0]?.state, 8);
  await client.appendToStream('open', jsonEvent({ type: 'T', data: {} }));
  await standin.faults.set('notReady');
  assert.is(await failure(append('ready', { credentials: undefined })), 'unknown');
  assert.is(await standin.faults.clear().then(() => revisions('ready')), 0);
});

test('notLeader: names the leader to those who require it, serves the others', async () => {
  await standin.faults.set('notLeader', { leader: { host: '127.0.0.9', port: 4_321 } });
  const error = await append('leader', { requiresLeader: true }).catch((thrown: unknown) => thrown);
  assert.instance(error, NotLeaderError);
  assert.equal((error as NotLeaderError).leader, { address: '127.0.0.9', port: 4_321 });
  const states = (await members()).map(({ state, httpEndPoint }) => [state, httpEndPoint?.port]);
  assert.equal(states, [
    [6, standin.port],
    [8, 4_321],
  ]);
  // The client goes to the leader it was told of: only another one stays here.
  const other = EventStoreDBClient.connectionString(standin.url);
  await other.appendToStream('leader', jsonEvent({ type: 'T', data: {} }), { credentials });
  await other.dispose();
});

test('slowSubscription: the subscriber falls behind and catches up again', async () => {
  await standin.faults.set('slowSubscription', { delayMs: 20 });
  const subscription = client.subscribeToAll({
    fromPosition: START,
    filter: streamNameFilter({ prefixes: ['slow'] }),
  });
  const seen: bigint[] = [];
  let caughtUp = 0;
  const twice = new Promise<void>((resolve, reject) => {
    subscription.on('error', reject).on('data', ({ event }) => void seen.push(event?.revision ?? -1n));
    subscription.on('caughtUp', () => {
      caughtUp += 1;
      if (caughtUp === 2) return resolve();
      const events = Array.from({ length: 5 }, () => jsonEvent({ type: 'T', data: {} }));
      client.appendToStream('slow', events).catch(reject);
    });
  });
  await twice;
  assert.equal(seen, [0n, 1n, 2n, 3n, 4n]);
  await subscription.unsubscribe();
});

test('stopped: refused, and after clear the same port and log', async () => {
  await append('stopped');
  await standin.faults.set('stopped');
  assert.is(standin.stats.connections, 0);
  assert.is(await failure(append('refused', { deadline: 2_000 })), 'unavailable');
  await standin.faults.clear();
  const again = EventStoreDBClient.connectionString(standin.url);
  const event = jsonEvent({ type: 'T', data: {} });
  assert.is((await again.appendToStream('stopped', event, { expectedRevision: 0n })).nextExpectedRevision, 1n);
  await again.dispose();
});

test('one connection holds 100 calls; the next waits until one ends', async () => {
  const raw = replayClients(standin.url);
  const request = readMessage(sentSchema.parse({ call: 'subscribe', all: true, sub: true, from: 'end' }), String);
  const open = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const call = raw.streams.read(request);
      call.on('error', () => undefined);
      await new Promise((resolve) => call.once('data', resolve));
      return call;
    }),
  );
  let answered = false;
  const waiting = new Promise<void>((resolve) =>
    raw.gossip.read(new sharedPb.Empty(), () => {
      answered = true;
      resolve();
    }),
  );
  assert.ok((await members()).length > 0, 'another connection is served');
  assert.is(standin.stats.openSubscriptions, 100);
  assert.not.ok(answered);
  open[0]?.cancel();
  await waiting;
  for (const call of open) call.cancel();
  raw.close();
});

test.run();
