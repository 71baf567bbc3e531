import { Decrypter, Encrypter } from 'age-encryption';
import * as assert from 'uvu/assert';
import { Refusal } from '../../domain/refusal.ts';
import { agePublicKey, decryptFile, encryptFile, newAgeKey } from '../../infra/ageFiles.ts';
import { suite } from '../harness.ts';

const test = suite('files of age');
const SIZES = [0, 1, 65_535, 65_536, 65_537, 131_072, 300_001];
let key: string;
let recipient: string;
test.before(async () => {
  key = await newAgeKey();
  recipient = await agePublicKey(key);
});

const content = (size: number) => Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 7)) % 256);

async function* pieces(all: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < all.byteLength; at += size) yield await Promise.resolve(all.subarray(at, at + size));
}

async function whole(parts: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const part of parts) all.push(part);
  return Buffer.concat(all);
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.catch((each: unknown) => each);
  assert.instance(error, Refusal);
  return (error as Refusal).code;
}

test('the library opens what we write, and we open what it writes', async () => {
  for (const size of SIZES) {
    const plain = content(size);
    const ours = await whole(encryptFile([recipient], pieces(plain, 10_000)));
    const decrypter = new Decrypter();
    decrypter.addIdentity(key);
    assert.ok(Buffer.from(await decrypter.decrypt(ours)).equals(plain), `ours of ${size}`);
    const encrypter = new Encrypter();
    encrypter.addRecipient(recipient);
    const theirs = await encrypter.encrypt(plain);
    assert.ok((await whole(decryptFile([key], pieces(theirs, 777)))).equals(plain), `theirs of ${size}`);
  }
});

test('each of several recipients opens it, nobody else does', async () => {
  const other = await newAgeKey();
  const file = await whole(encryptFile([recipient, await agePublicKey(other)], pieces(content(9), 9)));
  for (const each of [key, other]) assert.is((await whole(decryptFile([each], pieces(file, 99)))).length, 9);
  assert.is(await refusal(whole(decryptFile([await newAgeKey()], pieces(file, 99)))), 'forbidden');
});

test('what was changed, cut, moved or added is damaged', async () => {
  const file = await whole(encryptFile([recipient], pieces(content(200_000), 50_000)));
  const open = (bytes: Uint8Array) => refusal(whole(decryptFile([key], pieces(bytes, 4_000))));
  for (const at of [file.length - 1, file.length - 70_000, 600]) {
    const changed = Buffer.from(file);
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
    assert.is(await open(changed), 'conflict', String(at));
  }
  const payload = file.length - 200_000 - 4 * 16;
  const chunk = 65_536 + 16;
  for (const cut of [file.length - 1, payload + chunk, payload + 2 * chunk, payload, 40])
    assert.is(await open(file.subarray(0, cut)), 'conflict', `cut to ${cut}`);
  assert.is(await open(Buffer.concat([file, Buffer.from('x')])), 'conflict');
  const [first, second] = [
    file.subarray(payload, payload + chunk),
    file.subarray(payload + chunk, payload + 2 * chunk),
  ];
  const swapped = Buffer.concat([file.subarray(0, payload), second, first, file.subarray(payload + 2 * chunk)]);
  assert.is(await open(swapped), 'conflict');
});

test.run();
