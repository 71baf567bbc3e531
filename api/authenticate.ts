/** Who asks, from a bearer token: signed JWTs checked by RFC 8725's rules. */
import type { KeyObject } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { Actor, Clock } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';

export interface Authenticated {
  readonly actor: Actor;
  /** Wall-clock ms when the token runs out, null when it never does. */
  readonly expiresAt: number | null;
}

/** @param authorization the header as it came. @throws Refusal `unauthenticated`. */
export type Authenticate = (authorization: string | undefined) => Promise<Authenticated>;

/** A key verifies with its one algorithm only, so that no token can choose. */
export interface VerificationKey {
  readonly algorithm: 'HS256' | 'ES256';
  readonly key: KeyObject;
}

export interface AuthenticateOptions {
  /** By kid: overlapping keys make a rotation nobody notices. */
  readonly keys: ReadonlyMap<string, VerificationKey>;
  readonly issuer: string;
  readonly audience: string;
  readonly clock: Clock;
  /** Longest `exp - iat` accepted, 15 minutes unless said: a signing key that leaked briefly must not mint for years. */
  readonly maxLifetimeMs?: number;
  /** Whether the token with this jti may go without `exp` (the embedded default's, while its file is there). */
  readonly neverExpires?: (tokenId: string) => boolean;
}

export const anonymousActor: Actor = { kind: 'user', id: 'anonymous', grants: [] };

/** Tokens whose signature was checked already: 8 % of a request's time otherwise. */
const MAX_CHECKED_TOKENS = 2_000;
const MAX_TOKEN_CHARACTERS = 8_192;
const CLOCK_TOLERANCE_SECONDS = 5;
const MAX_LIFETIME_MS = 15 * 60_000;

/** Exactly these: `crit`, `jku`, `x5u`, `x5c`, `jwk`, `b64`, `zip` and whatever else might steer verification are refused. */
const headerSchema = z.strictObject({
  alg: z.string(),
  kid: z.string().min(1).max(200),
  typ: z.string().regex(/^(application\/)?at\+jwt$/i),
});

const claimsSchema = z.object({
  /** No spaces or control characters: it goes into logs, events and rate-limit keys. */
  sub: z.string().regex(/^[\p{L}\p{N}\p{P}\p{S}]{1,200}$/u),
  jti: z.string().min(1).max(200).optional(),
  iat: z.number(),
  exp: z.number().optional(),
  /** `system` is the service itself and never comes from outside. */
  kind: z.enum(['user', 'agent', 'worker']).default('user'),
  grants: z.array(z.strictObject({ project: z.string().min(1).max(200), role: z.string().min(1).max(100) })).max(200),
});

/**
 * Checks signature (by kid, with that key's algorithm), typ `at+jwt`, iss, aud, sub, iat, nbf and exp.
 *
 * Every refusal of a token but expiry has one message: what exactly was wrong helps only those who forge.
 */
export function createAuthenticate(options: AuthenticateOptions): Authenticate {
  const checked = new LRUCache<string, Checked>({ max: MAX_CHECKED_TOKENS });
  return async (authorization) => {
    if (authorization === undefined)
      throw new Refusal('unauthenticated', 'send a token: Authorization: Bearer <token>');
    const token = /^Bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/i.exec(authorization)?.[1];
    if (token === undefined || token.length > MAX_TOKEN_CHARACTERS) throw refused();
    const nowSeconds = Math.floor(options.clock.now() / 1000);
    let known = checked.get(token);
    // A key that was taken out of the map takes its tokens with it.
    if (known === undefined || options.keys.get(known.kid) !== known.key) {
      known = check(token, options, nowSeconds);
      checked.set(token, known);
    }
    const { actor, exp, jti } = known;
    if (exp === undefined) {
      if (jti === undefined || options.neverExpires?.(jti) !== true) throw refused();
      return { actor, expiresAt: null };
    }
    if (nowSeconds >= exp + CLOCK_TOLERANCE_SECONDS) throw expired();
    return { actor, expiresAt: exp * 1000 };
  };
}

/** A token of which everything is known to be right for ever but its end. */
interface Checked {
  readonly actor: Actor;
  readonly exp: number | undefined;
  readonly jti: string | undefined;
  readonly kid: string;
  readonly key: VerificationKey;
}

function check(token: string, options: AuthenticateOptions, nowSeconds: number): Checked {
  const { kid, key } = keyOf(token, options.keys);
  const claims = claimsSchema.safeParse(verified(token, key, options, nowSeconds));
  if (!claims.success) throw refused();
  const { sub, jti, iat, exp, kind, grants } = claims.data;
  if (iat > nowSeconds + CLOCK_TOLERANCE_SECONDS) throw refused();
  if (exp !== undefined && (exp - iat) * 1000 > (options.maxLifetimeMs ?? MAX_LIFETIME_MS)) throw refused();
  return { actor: { kind, id: sub, grants }, exp, jti, kid, key };
}

function keyOf(token: string, keys: AuthenticateOptions['keys']): { kid: string; key: VerificationKey } {
  const header = headerSchema.safeParse(headerOf(token));
  if (!header.success) throw refused();
  const key = keys.get(header.data.kid);
  if (key === undefined || key.algorithm !== header.data.alg) throw refused();
  return { kid: header.data.kid, key };
}

function headerOf(token: string): unknown {
  const [header = '', payload = '', signature = ''] = token.split('.');
  // Decoders forgive stray bits in a last character: without this one token has several spellings.
  for (const part of [header, payload, signature])
    if (Buffer.from(part, 'base64url').toString('base64url') !== part) throw refused();
  try {
    return JSON.parse(Buffer.from(header, 'base64url').toString('utf8'));
  } catch {
    throw refused();
  }
}

function verified(
  token: string,
  { key, algorithm }: VerificationKey,
  options: AuthenticateOptions,
  nowSeconds: number,
): unknown {
  try {
    return jwt.verify(token, key, {
      algorithms: [algorithm],
      issuer: options.issuer,
      audience: options.audience,
      clockTimestamp: nowSeconds,
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
    });
  } catch (error) {
    if (error instanceof jwt.TokenExpiredError) throw expired();
    throw refused();
  }
}

function expired(): Refusal {
  return refused('the token has expired; get a new one');
}

function refused(detail = 'the token is not valid here'): Refusal {
  return new Refusal('unauthenticated', detail, {
    issues: [{ pointer: 'header/Authorization', code: 'invalid-token', detail }],
  });
}
