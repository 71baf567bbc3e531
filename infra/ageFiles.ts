/**
 * Files of age (age-encryption.org/v1), which the standard `age` tool opens. The library makes and reads their headers; their
 * content goes through OpenSSL, which is some fifty times faster than the library and does not hold up the event loop.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { Refusal } from '../domain/refusal.ts';

const CHUNK_BYTES = 64 * 1024;
const TAG_BYTES = 16;
const NONCE_BYTES = 16;
/** Headers of a few recipients are shorter than a kilobyte. */
const HEADER_MOST_BYTES = 64 * 1024;
const HEADER_END = Buffer.from('\n--- ');
const CIPHER = 'chacha20-poly1305';

/** Loaded when first needed: it is a tenth of a second of every start. */
const age = () => import('age-encryption');

/** A new private key, `AGE-SECRET-KEY-1…`. */
export async function newAgeKey(): Promise<string> {
  return (await age()).generateX25519Identity();
}

/** The public key of a private one, `age1…`. @throws Refusal `invalid` for what is no key. */
export async function agePublicKey(key: string): Promise<string> {
  return (await age()).identityToRecipient(key).catch((error: unknown) => {
    throw new Refusal('invalid', 'the file of the backup key holds no private key of age', { cause: error });
  });
}

/** Encrypts for all the public keys; whoever has the private key of one can open it. */
export async function* encryptFile(
  recipients: readonly string[],
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer> {
  const { header, fileKey } = await newHeader(recipients);
  const nonce = randomBytes(NONCE_BYTES);
  yield Buffer.concat([header, nonce]);
  const key = payloadKey(fileKey, nonce);
  let count = 0;
  for await (const { chunk, last } of inChunks(content, CHUNK_BYTES)) {
    const cipher = createCipheriv(CIPHER, key, chunkNonce(count, last), { authTagLength: TAG_BYTES });
    yield Buffer.concat([cipher.update(chunk), cipher.final(), cipher.getAuthTag()]);
    count += 1;
  }
}

/**
 * Opens a file with one of the private keys. What was yielded is authentic; that nothing is missing at the end is known at
 * the end.
 * @throws Refusal `forbidden` when no key opens it, `conflict` when it is damaged or cut.
 */
export async function* decryptFile(
  keys: readonly string[],
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer> {
  const { header, rest } = await splitHeader(content);
  const key = payloadKey(await fileKeyOf(keys, header), await rest.take(NONCE_BYTES));
  let count = 0;
  for await (const { chunk, last } of inChunks(rest.all(), CHUNK_BYTES + TAG_BYTES)) {
    if (chunk.length < TAG_BYTES || (chunk.length === TAG_BYTES && count > 0)) throw damaged();
    const cipher = createDecipheriv(CIPHER, key, chunkNonce(count, last), { authTagLength: TAG_BYTES });
    cipher.setAuthTag(chunk.subarray(chunk.length - TAG_BYTES));
    const plain = cipher.update(chunk.subarray(0, chunk.length - TAG_BYTES));
    try {
      cipher.final();
    } catch (error) {
      throw damaged(error);
    }
    yield plain;
    count += 1;
  }
}

/** The library hands the key of each file to whoever wraps it: one more recipient that wraps nothing. */
async function newHeader(recipients: readonly string[]): Promise<{ header: Buffer; fileKey: Uint8Array }> {
  let fileKey = new Uint8Array();
  const { Encrypter } = await age();
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  encrypter.addRecipient({
    wrapFileKey(key) {
      fileKey = Uint8Array.from(key);
      return [];
    },
  });
  const empty = Buffer.from(await encrypter.encrypt(new Uint8Array()));
  return { header: empty.subarray(0, empty.length - NONCE_BYTES - TAG_BYTES), fileKey };
}

async function fileKeyOf(keys: readonly string[], header: Buffer): Promise<Uint8Array> {
  const { Decrypter } = await age();
  const decrypter = new Decrypter();
  for (const key of keys) decrypter.addIdentity(key);
  return decrypter.decryptHeader(header).catch((error: unknown) => {
    throw new Refusal('forbidden', 'the backup cannot be opened with this key: give the one it was made for', {
      cause: error,
    });
  });
}

function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32));
}

/** A counter of 11 bytes, and whether it is the last one: so nothing can be cut off or moved unnoticed. */
function chunkNonce(count: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(BigInt(count), 3);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

interface Rest {
  take(bytes: number): Promise<Buffer>;
  all(): AsyncGenerator<Uint8Array>;
}

async function splitHeader(content: AsyncIterable<Uint8Array>): Promise<{ header: Buffer; rest: Rest }> {
  const source = content[Symbol.asyncIterator]();
  let held = Buffer.alloc(0);
  const more = async (): Promise<boolean> => {
    const next = await source.next();
    if (next.done === true) return false;
    held = Buffer.concat([held, next.value]);
    return true;
  };
  let end = -1;
  while (end === -1) {
    const mark = held.indexOf(HEADER_END);
    end = mark === -1 ? -1 : held.indexOf(10, mark + HEADER_END.length);
    if (end === -1 && (held.length > HEADER_MOST_BYTES || !(await more()))) throw damaged();
  }
  const take = async (bytes: number): Promise<Buffer> => {
    while (held.length < bytes) if (!(await more())) throw damaged();
    const taken = held.subarray(0, bytes);
    held = held.subarray(bytes);
    return taken;
  };
  const header = await take(end + 1);
  return {
    header,
    rest: {
      take,
      async *all() {
        yield held;
        for (let next = await source.next(); next.done !== true; next = await source.next()) yield next.value;
      },
    },
  };
}

/** Pieces of exactly `size` bytes but for the last one, which is empty only when there is nothing at all. */
async function* inChunks(
  content: AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<{ chunk: Buffer; last: boolean }> {
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  for await (const piece of content) {
    held.push(piece);
    heldBytes += piece.byteLength;
    if (heldBytes <= size) continue;
    const all = Buffer.concat(held);
    let at = 0;
    for (; all.length - at > size; at += size) yield { chunk: all.subarray(at, at + size), last: false };
    held = [all.subarray(at)];
    heldBytes = all.length - at;
  }
  yield { chunk: Buffer.concat(held), last: true };
}

function damaged(cause?: unknown): Refusal {
  return new Refusal('conflict', 'the backup is damaged: its encryption does not hold', { cause });
}
