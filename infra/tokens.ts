/** The signing key and the embedded administrator's token: files only their owner can read. */
import { createHash, createSecretKey, type KeyObject, randomBytes, randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import jwt from 'jsonwebtoken';
import type { Actor } from '../domain/ports.ts';

export interface TokenOptions {
  /** Holds `signing.key` and `credentials.json`; made when it is not there. */
  readonly dataDir: string;
  /** A key of one's own instead of `signing.key`: at least 32 bytes. */
  readonly signingKeyFile?: string;
  readonly issuer: string;
  readonly audience: string;
}

export interface SigningKey {
  readonly kid: string;
  readonly algorithm: 'HS256';
  readonly key: KeyObject;
}

export interface Tokens {
  readonly signingKey: SigningKey;
  /** A short-lived access token. @param lifetimeMs 5 minutes unless said. */
  mint(actor: Actor, lifetimeMs?: number): string;
}

export interface EmbeddedCredentials {
  readonly token: string;
  /** Its jti. */
  readonly tokenId: string;
  /** Whether a token without expiry is this one and its file is still there: deleting the file revokes it within 2 s. */
  isCurrent(tokenId: string): boolean;
}

const KEY_BYTES = 32;
const LIFETIME_MS = 5 * 60_000;
const LOOK_AGAIN_MS = 2_000;

/** Loads the signing key, or makes it at the first start. @throws Error when the file holds fewer than 32 bytes. */
export async function loadTokens(options: TokenOptions): Promise<Tokens> {
  const own = options.signingKeyFile;
  const path = own ?? join(options.dataDir, 'signing.key');
  if (own === undefined) await createOnce(path, randomBytes(KEY_BYTES).toString('base64url') + '\n');
  const text = (await readFile(path, 'utf8')).trim();
  if (Buffer.byteLength(text) < KEY_BYTES)
    throw new Error(`the signing key in ${path} is shorter than ${KEY_BYTES} bytes`);
  const key = createSecretKey(text, 'utf8');
  const signingKey: SigningKey = {
    kid: `hs-${createHash('sha256').update(text).digest('hex').slice(0, 16)}`,
    algorithm: 'HS256',
    key,
  };
  return {
    signingKey,
    mint: ({ id, kind, grants }, lifetimeMs = LIFETIME_MS) =>
      sign(
        signingKey,
        options,
        { kind, grants },
        { subject: id, jwtid: randomUUID(), expiresIn: Math.ceil(lifetimeMs / 1000) },
      ),
  };
}

/**
 * The administrator's token of the embedded default, in `<dataDir>/credentials.json` as {"token": "…"}; reused while it
 * was signed with the present key, else replaced. It has no expiry: whoever can read the file owns the data beside it.
 */
export async function loadEmbeddedCredentials(tokens: Tokens, options: TokenOptions): Promise<EmbeddedCredentials> {
  const path = join(options.dataDir, 'credentials.json');
  let current = await readCredentials(path, tokens.signingKey, options);
  for (let attempt = 0; current === null && attempt < 3; attempt += 1) {
    const tokenId = randomUUID();
    const grants = [{ project: '*', role: 'administrator' }];
    const token = sign(
      tokens.signingKey,
      options,
      { kind: 'user', grants },
      { subject: 'administrator', jwtid: tokenId },
    );
    // Two starts at once must end with one token: whoever links first wins, the other reads.
    if (attempt > 0) await rm(path, { force: true });
    await createOnce(path, JSON.stringify({ token }) + '\n');
    current = await readCredentials(path, tokens.signingKey, options);
  }
  if (current === null) throw new Error(`${path} cannot be written or read`);
  return { ...current, isCurrent: watchFile(path, current.tokenId) };
}

function sign(key: SigningKey, { issuer, audience }: TokenOptions, claims: object, more: jwt.SignOptions): string {
  return jwt.sign(claims, key.key, {
    algorithm: key.algorithm,
    keyid: key.kid,
    issuer,
    audience,
    header: { alg: key.algorithm, typ: 'at+jwt' },
    ...more,
  });
}

/** Writes a file with mode 0600 in one step, unless it is there already; then only its mode is set right. */
async function createOnce(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomUUID()}`;
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
    await link(draft, path);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    await restrict(path);
  } finally {
    await file.close();
    await rm(draft, { force: true });
  }
}

async function restrict(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    if (((await file.stat()).mode & 0o077) !== 0) await file.chmod(0o600);
  } finally {
    await file.close();
  }
}

async function readCredentials(path: string, { key, algorithm }: SigningKey, { issuer, audience }: TokenOptions) {
  try {
    await restrict(path);
    const { token } = JSON.parse(await readFile(path, 'utf8')) as { token: string };
    const claims = jwt.verify(token, key, { algorithms: [algorithm], issuer, audience });
    if (typeof claims === 'string' || claims.jti === undefined) return null;
    return { token, tokenId: claims.jti };
  } catch {
    // Missing, damaged or signed with another key: all the same, a new one is made.
    return null;
  }
}

/** Looks at the file's identity at most every 2 s: it is asked at every request. */
function watchFile(path: string, tokenId: string): (asked: string) => boolean {
  const made = statSync(path).ino;
  let there = true;
  let lookedAt = performance.now();
  return (asked) => {
    if (asked !== tokenId) return false;
    if (performance.now() - lookedAt < LOOK_AGAIN_MS) return there;
    lookedAt = performance.now();
    there = statSync(path, { throwIfNoEntry: false })?.ino === made;
    return there;
  };
}
