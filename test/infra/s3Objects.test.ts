import * as assert from 'uvu/assert';
import { objectBytes, type ObjectStore } from '../../domain/objectStore.ts';
import { Refusal } from '../../domain/refusal.ts';
import { openS3Objects } from '../../infra/s3Objects.ts';
import { objectStoreContract } from '../contracts/objectStore.ts';
import { suite } from '../harness.ts';
import { s3ForTests } from '../services.ts';
import { type S3StandIn, startS3 } from '../standins/s3.ts';

const open = (on: Pick<S3StandIn, 'place' | 'accessKeyId' | 'secretAccessKey'>, quietMs = 5_000) =>
  openS3Objects({ url: on.place, accessKeyId: on.accessKeyId, secretAccessKey: on.secretAccessKey, quietMs });

objectStoreContract('S3, stand-in', async () => {
  const server = await startS3();
  return { store: open(server), another: () => open(server), stop: () => server.stop() };
});

const real = s3ForTests();
if (real !== null)
  objectStoreContract('S3, a real server', async () => {
    const store = open(real, 30_000);
    const stop = async () => {
      for (const { name } of await store.list('')) await store.remove(name);
    };
    return Promise.resolve({ store, another: () => open(real, 30_000), stop });
  });
else console.log('left out: ObjectStore on a real S3 server: TEST_S3_URL is not set');

const test = suite('objects in S3');
let server: S3StandIn;
let store: ObjectStore;
test.before(async () => {
  server = await startS3();
  store = open(server, 300);
});
test.after(() => server.stop());

async function refusal(work: Promise<unknown>): Promise<Refusal> {
  const error: unknown = await work.catch((each: unknown) => each);
  assert.instance(error, Refusal);
  return error as Refusal;
}

test('keys that are wrong are refused, without saying them, and not as something to try again', async () => {
  for (const wrong of [{ secretAccessKey: 'another-secret' }, { accessKeyId: 'AKIDOTHER' }]) {
    const { code, retryable, message } = await refusal(open({ ...server, ...wrong }).put('a', new Uint8Array([1])));
    assert.is(code, 'unavailable');
    assert.is(retryable, false);
    assert.match(message, 'S3');
    assert.not.match(message, 'secret-key');
  }
  assert.is(server.objects.size, 0);
});

test('a server that says nothing, breaks off or is busy is unavailable, and nothing is tried again', async () => {
  await store.put('b', new Uint8Array(100_000));
  for (const how of ['silent', 'break', 503] as const) {
    server.fail('GET', how);
    const asked = server.requests.length;
    const { code, retryable } = await refusal(objectBytes(store, 'b'));
    assert.equal([code, retryable], ['unavailable', true], String(how));
    assert.is(server.requests.length, asked + 1);
  }
  for (const how of ['silent', 500] as const) {
    server.fail('PUT', how);
    assert.is((await refusal(store.put('c', new Uint8Array([1])))).code, 'unavailable');
  }
  server.fail('GET', 'silent');
  assert.is((await refusal(store.list(''))).code, 'unavailable');
});

test('objects lie below the prefix, and what others put into the bucket is not shown', async () => {
  server.objects.set('colloquy/Not Ours', { bytes: Buffer.from('x'), writtenAt: new Date() });
  server.objects.set('elsewhere/x', { bytes: Buffer.from('x'), writtenAt: new Date() });
  await store.put('below/d', new Uint8Array([1]));
  assert.ok(server.objects.has('colloquy/below/d'));
  assert.not.ok((await store.list('')).some(({ name }) => /Ours|else/.test(name)));
});

test('a place that is none is refused', () => {
  for (const place of ['s3://', 'https://x/y', 's3://bucket?secret=1', 's3://u:p@bucket', 's3://b?endpoint=ftp://x'])
    assert.throws(() => open({ ...server, place }), /an S3 place is/, place);
});

test.run();
