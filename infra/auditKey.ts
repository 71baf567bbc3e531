/** The key that signs checkpoints of the log: Ed25519, a PEM that only its owner can read. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Signer } from '../domain/audit/note.ts';
import { Refusal } from '../domain/refusal.ts';

export interface AuditKey extends Signer {
  /** Public keys of earlier ones, whose checkpoints count too; 32 bytes each. */
  readonly trusted: readonly Buffer[];
}

export interface AuditKeyOptions {
  /** Holds `audit.key`; made when it is not there. */
  readonly dataDir: string;
  /** PEM text instead of that file: the private key first, then public keys of earlier ones. */
  readonly pem?: string | undefined;
}

const BLOCK = /-----BEGIN [A-Z ]+-----[\s\S]+?-----END [A-Z ]+-----/g;

/** Loads the key, or makes it at the first start. @throws Refusal `invalid` when it is no Ed25519 key. */
export async function loadAuditKey({ dataDir, pem }: AuditKeyOptions): Promise<AuditKey> {
  const text = pem ?? (await readOrMake(join(dataDir, 'audit.key')));
  const [own, ...earlier] = [...text.matchAll(BLOCK)].map(([block]) => block);
  try {
    const key = createPrivateKey(own ?? '');
    const trusted = earlier.map((block) => rawOf(createPublicKey(block)));
    return { publicKey: rawOf(createPublicKey(key)), trusted, sign: (note) => sign(null, Buffer.from(note), key) };
  } catch (error) {
    if (error instanceof Refusal) throw error;
    // What OpenSSL says of a key may hold parts of it.
    throw new Refusal('invalid', 'the audit key (AUDIT_KEY, or audit.key in the data folder) is not a PEM of a key');
  }
}

function rawOf(key: KeyObject): Buffer {
  const { x } = key.export({ format: 'jwk' });
  if (key.asymmetricKeyType !== 'ed25519' || x === undefined)
    throw new Refusal('invalid', 'the audit key is not an Ed25519 key: openssl genpkey -algorithm ed25519');
  return Buffer.from(x, 'base64url');
}

async function readOrMake(path: string): Promise<string> {
  const there = await readIfThere(path);
  if (there !== null) return there;
  const { privateKey } = generateKeyPairSync('ed25519');
  const draft = `${path}.${randomUUID()}`;
  await mkdir(join(path, '..'), { recursive: true });
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await file.sync();
    // Of several first starts one wins; all read what it wrote.
    await link(draft, path);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  } finally {
    await file.close();
    await rm(draft, { force: true });
  }
  return readFile(path, 'utf8');
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new Refusal('invalid', 'the audit key in the data folder cannot be read', { cause: error });
  }
}
