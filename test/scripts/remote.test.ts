import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as assert from 'uvu/assert';
import { createRemote, RemoteProblem } from '../../scripts/remote.ts';
import { suite } from '../harness.ts';

const test = suite('a remote service');
const [CHUNK, CHUNKS] = [Buffer.alloc(1_500, 'x'), 100_000];
const forever = { signal: new AbortController().signal };

const server = createServer((request, response) => {
  if (request.url !== '/api/v1/long' || request.headers.authorization !== 'Bearer t')
    return void response.writeHead(404).end(JSON.stringify({ detail: 'there is no such thing' }));
  let left = CHUNKS;
  const write = (): void => {
    while (left > 0) {
      left -= 1;
      if (!response.write(CHUNK)) return void response.once('drain', write);
    }
    response.end();
  };
  write();
});
let url: string;
test.before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
test.after(() => {
  server.close();
  server.closeAllConnections();
});

test('a long answer in many small chunks arrives whole where it is taken more slowly than it comes', async () => {
  let bytes = 0;
  for await (const chunk of createRemote(url, 't').download('/long', forever)) {
    bytes += chunk.length;
    await new Promise(setImmediate);
  }
  assert.is(bytes, CHUNK.length * CHUNKS);
});

test('a download that is refused says what the service said', async () => {
  const error: unknown = await createRemote(url, 'other')
    .download('/long', forever)
    [Symbol.asyncIterator]()
    .next()
    .catch((thrown: unknown) => thrown);
  assert.instance(error, RemoteProblem);
  assert.equal([(error as RemoteProblem).status, (error as RemoteProblem).detail], [404, 'there is no such thing']);
});

test.run();
