/**
 * Checkpoints as signed notes, in the text format of C2SP (signed-note and tlog-checkpoint): origin, size, root, then our
 * lines, an empty line and the signatures. What others write tools for can read them.
 */
import { createPublicKey, hash, verify } from 'node:crypto';
import { Refusal } from '../refusal.ts';

/** What a checkpoint says of a log. */
export interface Checkpoint {
  /** `colloquy/<lineage of the log>`. */
  readonly origin: string;
  /** Events it covers. */
  readonly size: number;
  /** Root of the Merkle tree over their leaves. */
  readonly root: Buffer;
  /** Of the last event that it covers. */
  readonly position: bigint;
  /** The last event's leaf, 64 hexadecimal digits. */
  readonly leaf: string;
  /** RFC 3339, UTC. */
  readonly at: string;
}

/** Who signs checkpoints. `sign` is Ed25519 over the text's UTF-8. */
export interface Signer {
  /** 32 bytes. */
  readonly publicKey: Buffer;
  sign(text: string): Buffer;
}

export interface SignedCheckpoint {
  readonly checkpoint: Checkpoint;
  /** The whole note, as it was read or is to be written. */
  readonly note: string;
  /** Ids of the keys that it says to be signed with. */
  readonly keyIds: readonly string[];
}

const ED25519 = 1;
const SIGNATURE = /^— (\S+) ([A-Za-z0-9+/]+={0,2})$/;

/** Where checkpoints of a log say they come from. */
export function originOf(lineage: string): string {
  return `colloquy/${lineage}`;
}

/** A note, signed. */
export function signCheckpoint(checkpoint: Checkpoint, signer: Signer): SignedCheckpoint {
  const text = textOf(checkpoint);
  const id = keyId(checkpoint.origin, signer.publicKey);
  const signature = Buffer.concat([Buffer.from(id, 'hex'), signer.sign(text)]).toString('base64');
  return { checkpoint, note: `${text}\n— ${checkpoint.origin} ${signature}\n`, keyIds: [id] };
}

function textOf({ origin, size, root, position, leaf, at }: Checkpoint): string {
  return `${origin}\n${size}\n${root.toString('base64')}\nposition ${position}\nleaf ${leaf}\ntime ${at}\n`;
}

const TEXT =
  /^(colloquy\/[0-9a-f-]{36})\n([1-9]\d{0,14})\n([A-Za-z0-9+/]{43}=)\nposition (-?\d{1,18})\nleaf ([0-9a-f]{64})\ntime (\d{4}-[0-9T:.-]{5,30}Z)\n$/;

/** What a note says; its signatures are not checked. @throws Refusal `invalid` for what is no checkpoint of ours. */
export function readNote(note: string): SignedCheckpoint {
  const { text, signatures } = partsOf(note);
  const [, origin, size, root, position, leaf, at] = TEXT.exec(text) ?? [];
  if (origin === undefined || root === undefined || position === undefined || leaf === undefined || at === undefined)
    throw new Refusal('invalid', 'this is not a checkpoint of a log');
  return {
    checkpoint: { origin, size: Number(size), root: Buffer.from(root, 'base64'), position: BigInt(position), leaf, at },
    note,
    keyIds: signatures.map(({ id }) => id),
  };
}

/** The id of the key, of those given, that has signed a note; null for none. @param keys 32 bytes each. */
export function signedBy(note: string, keys: readonly Uint8Array[]): string | null {
  const { text, signatures } = partsOf(note);
  const origin = text.slice(0, Math.max(0, text.indexOf('\n')));
  for (const key of keys)
    for (const { name, id, signature } of signatures)
      if (name === origin && id === keyId(origin, key) && isSignature(text, signature, key)) return id;
  return null;
}

function isSignature(text: string, signature: Uint8Array, key: Uint8Array): boolean {
  const x = Buffer.from(key).toString('base64url');
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return verify(null, Buffer.from(text), publicKey, signature);
}

function partsOf(note: string) {
  const end = note.lastIndexOf('\n\n');
  if (end < 0 || note.length > 10_000) throw new Refusal('invalid', 'this is not a signed note');
  const signatures = note
    .slice(end + 2)
    .split('\n')
    .flatMap((line) => {
      const [, name = '', base64 = ''] = SIGNATURE.exec(line) ?? [];
      const bytes = Buffer.from(base64, 'base64');
      return bytes.length === 68 ? [{ name, id: bytes.toString('hex', 0, 4), signature: bytes.subarray(4) }] : [];
    });
  return { text: note.slice(0, end + 1), signatures };
}

/** The id of a key under a name: 8 hexadecimal digits. */
export function keyId(name: string, publicKey: Uint8Array): string {
  const bytes = Buffer.concat([Buffer.from(`${name}\n`), Buffer.from([ED25519]), publicKey]);
  return hash('sha256', bytes, 'buffer').toString('hex', 0, 4);
}

/** A public key as text: `<name>+<id>+<base64>`, as C2SP has it. */
export function verifierKey(name: string, publicKey: Uint8Array): string {
  return `${name}+${keyId(name, publicKey)}+${Buffer.concat([Buffer.from([ED25519]), publicKey]).toString('base64')}`;
}

/**
 * The 32 bytes of a public key: of a verifier key, a PEM, or the base64 of the bare bytes.
 * @throws Refusal `invalid` for anything else.
 */
export function readPublicKey(given: string): Buffer {
  const text = given.trim();
  if (text.startsWith('-----BEGIN')) return ofLength(bytesOfPem(text));
  const bytes = Buffer.from(text.slice(text.indexOf('+', text.indexOf('+') + 1) + 1), 'base64');
  if (bytes.length === 33 && bytes[0] === ED25519) return bytes.subarray(1);
  return ofLength(Buffer.from(text, 'base64'));
}

function bytesOfPem(text: string): Buffer {
  try {
    const { x } = createPublicKey(text).export({ format: 'jwk' });
    return Buffer.from(x ?? '', 'base64url');
  } catch {
    return Buffer.alloc(0);
  }
}

function ofLength(bytes: Buffer): Buffer {
  if (bytes.length !== 32) throw new Refusal('invalid', 'this is not an Ed25519 public key');
  return bytes;
}
