/** What the EventStoreDB stand-in makes of a client that dies inside a request: nothing, as a server does. */
import { EventStoreDBClient } from '@eventstore/db-client';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { startEventStoreStandin } from './eventstoredb.ts';
import { replayClients } from './eventstoredbReplay.ts';
import { appendMessages } from './eventstoredbSent.ts';

const TIMES = 20;
/** Until what was sent has arrived. */
const ARRIVED_MS = 20;
const test = suite('EventStoreDB stand-in: clients that die');

/** A path to the server that can be cut like the connection of a process that dies. */
async function cuttable(port: number): Promise<{ port: number; cut(how: 'end' | 'reset'): Promise<void> }> {
  const ends: Socket[] = [];
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const end of [near, far]) ends.push(end.on('error', () => undefined));
    near.pipe(far, { end: false });
    far.pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async cut(how) {
      await sleep(ARRIVED_MS);
      for (const end of ends)
        if (how === 'end') end.end();
        else end.resetAndDestroy();
      await sleep(ARRIVED_MS);
      for (const end of ends) end.destroy();
      server.close();
    },
  };
}

test('killed between the events of a batch, it has appended none of them', async () => {
  const standin = await startEventStoreStandin();
  const contentType = 'application/json';
  const events = ['a', 'b'].map((digit) => {
    const id = `00000000-0000-4000-8000-${digit.padStart(12, '0')}`;
    return { id, type: 'T', data: '{}', metadata: '{}', contentType };
  });
  for (let i = 0; i < TIMES; i += 1) {
    const path = await cuttable(standin.port);
    const clients = replayClients(`esdb://127.0.0.1:${path.port}`);
    const call = clients.streams.append(() => undefined).on('error', () => undefined);
    const sent = appendMessages({ stream: `died-${i}`, expected: 'no_stream', events });
    // All but the last.
    for (const message of sent.slice(0, -1)) await new Promise((resolve) => call.write(message, resolve));
    await path.cut(i % 2 === 0 ? 'end' : 'reset');
    clients.close();
  }
  const client = EventStoreDBClient.connectionString(standin.url);
  const found: string[] = [];
  for await (const { event } of client.readAll()) if (event?.streamId.startsWith('died-')) found.push(event.streamId);
  assert.equal(found, []);
  await client.dispose();
  await standin.stop();
});
test.run();
