/** The ObjectStore port: every adapter passes this suite. */
import * as assert from 'uvu/assert';
import { objectBytes, type ObjectStore } from '../../domain/objectStore.ts';
import { Refusal, type RefusalCode } from '../../domain/refusal.ts';
import { suite } from '../harness.ts';

export interface OpenedObjects {
  readonly store: ObjectStore;
  /** The same place, opened as another process would. */
  another(): ObjectStore;
  stop(): Promise<void>;
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8');
const bytes = (content: string) => new Uint8Array(Buffer.from(content));

async function refusal(work: Promise<unknown>): Promise<RefusalCode | 'none'> {
  return work.then(
    () => 'none',
    (error: unknown) => {
      if (error instanceof Refusal) return error.code;
      throw error;
    },
  );
}

async function* pieces(...all: string[]): AsyncGenerator<Uint8Array> {
  for (const each of all) yield await Promise.resolve(bytes(each));
}

/** @param open an empty place. */
export function objectStoreContract(name: string, open: () => Promise<OpenedObjects>): void {
  const test = suite(`ObjectStore: ${name}`);
  let on: OpenedObjects;
  test.before(async () => {
    on = await open();
  });
  test.after(() => on.stop());

  test('what was put is there, byte for byte, also for another process', async () => {
    const all = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 8)) % 256);
    await on.store.put('round/one.bin', all);
    await on.store.put('round/two.txt', pieces('Grüße ', 'an ', 'alle'));
    await on.store.put('round/empty', new Uint8Array());
    assert.ok(Buffer.from(await objectBytes(on.another(), 'round/one.bin')).equals(Buffer.from(all)));
    assert.is(text(await objectBytes(on.store, 'round/two.txt')), 'Grüße an alle');
    assert.is((await objectBytes(on.store, 'round/empty')).byteLength, 0);
  });

  test('a name is never written twice unless said, and of several at once one wins', async () => {
    await on.store.put('twice/a', bytes('first'));
    assert.is(await refusal(on.store.put('twice/a', bytes('second'))), 'conflict');
    assert.is(text(await objectBytes(on.store, 'twice/a')), 'first');
    await on.store.put('twice/a', bytes('third'), { replace: true });
    assert.is(text(await objectBytes(on.store, 'twice/a')), 'third');
    const stores = [on.store, on.another(), on.another(), on.store];
    const ends = await Promise.all(stores.map((store, i) => refusal(store.put('twice/race', bytes(`of ${i}`)))));
    assert.equal(ends.filter((end) => end === 'none').length, 1, ends.join());
    assert.equal(ends.filter((end) => end === 'conflict').length, 3, ends.join());
    assert.is(text(await objectBytes(on.store, 'twice/race')), `of ${ends.indexOf('none')}`);
  });

  test('content that breaks off leaves nothing, and its error comes out', async () => {
    const broken = async function* () {
      yield await Promise.resolve(bytes('half'));
      throw new Error('the source broke');
    };
    await on.store.put('broken/a', broken()).then(
      () => assert.unreachable(),
      (error: unknown) => assert.match(String(error), 'the source broke'),
    );
    assert.equal(await on.store.list('broken/'), []);
    assert.is(await refusal(objectBytes(on.store, 'broken/a')), 'not-found');
    await on.store.put('broken/a', bytes('whole'));
    await on.store.put('broken/a', broken(), { replace: true }).catch(() => undefined);
    assert.is(text(await objectBytes(on.store, 'broken/a')), 'whole');
  });

  test('nobody sees an object before it is whole', async () => {
    let goOn: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    const slow = async function* () {
      yield bytes('begin ');
      await gate;
      yield bytes('end');
    };
    const put = on.store.put('slow/a', slow());
    assert.is(await refusal(objectBytes(on.another(), 'slow/a')), 'not-found');
    assert.equal(await on.another().list('slow'), []);
    goOn();
    await put;
    assert.is(text(await objectBytes(on.another(), 'slow/a')), 'begin end');
  });

  test('lists by the beginning of the name, sorted, with sizes and times', async () => {
    for (const [at, each] of ['b/2', 'b/10', 'b/sub/x', 'bc', 'b-1'].entries())
      await on.store.put(`list/${each}`, bytes('x'.repeat(at + 1)));
    const names = async (prefix: string) => (await on.another().list(prefix)).map(({ name: each }) => each);
    assert.equal(await names('list/b/'), ['list/b/10', 'list/b/2', 'list/b/sub/x']);
    assert.equal(await names('list/b'), ['list/b-1', 'list/b/10', 'list/b/2', 'list/b/sub/x', 'list/bc']);
    assert.equal(await names('list/b/1'), ['list/b/10']);
    assert.equal(await names('nowhere/'), []);
    assert.ok((await names('')).includes('list/bc'));
    const [ten] = await on.store.list('list/b/10');
    assert.is(ten?.sizeBytes, 2);
    assert.ok(Math.abs((ten?.writtenAt ?? 0) - Date.now()) < 600_000, String(ten?.writtenAt));
  });

  test('more objects than one page holds are all listed', async () => {
    const wanted = Array.from({ length: 60 }, (_, i) => `many/${String(i).padStart(4, '0')}`);
    for (const each of wanted) await on.store.put(each, bytes(each));
    assert.equal(
      (await on.store.list('many/')).map(({ name: each }) => each),
      wanted,
    );
  });

  test('removes, once or twice; what is not there is not found', async () => {
    await on.store.put('gone/a', bytes('x'));
    await on.store.remove('gone/a');
    await on.store.remove('gone/a');
    await on.store.remove('gone/never');
    assert.equal(await on.store.list('gone/'), []);
    assert.is(await refusal(objectBytes(on.store, 'gone/a')), 'not-found');
    await on.store.put('gone/a', bytes('again'));
  });

  test('names that are no safe path are refused before anything happens', async () => {
    for (const each of [
      '',
      '/a',
      'a/',
      'a//b',
      '../a',
      'a/../b',
      '.hidden',
      'a/.b',
      'A',
      'a b',
      'a\\b',
      'ü',
      'a'.repeat(600),
    ]) {
      assert.is(await refusal(on.store.put(each, bytes('x'))), 'invalid', each);
      assert.is(await refusal(objectBytes(on.store, each)), 'invalid', each);
      assert.is(await refusal((async () => on.store.remove(each))()), 'invalid', each);
    }
  });

  test('leaving a read early is clean, and so is a signal that aborts', async () => {
    await on.store.put('early/a', new Uint8Array(2_000_000));
    for await (const chunk of on.store.get('early/a')) {
      assert.ok(chunk.byteLength > 0);
      break;
    }
    const abort = new AbortController();
    abort.abort();
    const read = async () => {
      for await (const chunk of on.store.get('early/a', { signal: abort.signal })) assert.ok(chunk);
    };
    assert.ok(await read().catch((error: unknown) => error));
    assert.ok(await on.store.put('early/b', bytes('x'), { signal: abort.signal }).catch((error: unknown) => error));
    assert.equal(
      (await on.store.list('early/')).map(({ name: each }) => each),
      ['early/a'],
    );
  });

  test.run();
}
