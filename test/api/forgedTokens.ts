/** Tokens that must all be refused, by the attack they try. Fifty and some, made from one valid token's parts. */
import { createHmac, generateKeyPairSync, sign as signWith } from 'node:crypto';

export interface ForgeryBase {
  readonly issuer: string;
  readonly audience: string;
  readonly kid: string;
  readonly secret: string;
  readonly nowSeconds: number;
}

type Json = Record<string, unknown>;

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const hmac = (input: string, secret: string | Buffer, hash = 'sha256'): string =>
  createHmac(hash, secret).update(input).digest('base64url');

/** @returns name of the attack → what follows `Bearer `. */
export function forgedTokens(base: ForgeryBase): Map<string, string> {
  const header: Json = { alg: 'HS256', typ: 'at+jwt', kid: base.kid };
  const claims: Json = {
    sub: 'eve',
    kind: 'user',
    grants: [{ project: '*', role: 'administrator' }],
    iss: base.issuer,
    aud: base.audience,
    iat: base.nowSeconds,
    exp: base.nowSeconds + 300,
  };
  const signed = (head: Json = {}, body: Json = {}, secret: string | Buffer = base.secret, hash?: string): string => {
    const input = `${encode({ ...header, ...head })}.${encode({ ...claims, ...body })}`;
    return `${input}.${hmac(input, secret, hash)}`;
  };
  return new Map([
    ...algorithms(signed, header, claims, base),
    ...headers(signed),
    ...claimsAtFault(signed, base.nowSeconds),
    ...spellings(signed()),
  ]);
}

type Sign = (head?: Json, body?: Json, secret?: string | Buffer, hash?: string) => string;

function algorithms(signed: Sign, header: Json, claims: Json, base: ForgeryBase): [string, string][] {
  const unsigned = (alg: string): string => `${encode({ ...header, alg })}.${encode(claims)}.`;
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' });
  const asymmetric = (alg: string, key: typeof ec.privateKey): string => {
    const input = `${encode({ ...header, alg, jwk: undefined })}.${encode(claims)}`;
    return `${input}.${signWith('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  };
  return [
    ...['none', 'None', 'NONE', 'nOnE', '', 'HS256'].map((alg): [string, string] => [
      `unsigned, alg ${alg || 'empty'}`,
      unsigned(alg),
    ]),
    ['alg none with a signature', signed({ alg: 'none' })],
    ['alg hs256 in small letters', signed({ alg: 'hs256' })],
    ['alg HS384', signed({ alg: 'HS384' }, {}, base.secret, 'sha384')],
    ['alg HS512', signed({ alg: 'HS512' }, {}, base.secret, 'sha512')],
    ['alg RS256 signed with a key of one’s own', asymmetric('RS256', rsa.privateKey)],
    ['alg ES256 signed with a key of one’s own', asymmetric('ES256', ec.privateKey)],
    ['alg EdDSA over an HMAC', signed({ alg: 'EdDSA' })],
    [
      'alg ES256 with an all-zero signature',
      `${encode({ ...header, alg: 'ES256' })}.${encode(claims)}.${Buffer.alloc(64).toString('base64url')}`,
    ],
    ['HMAC with a public key as its secret', signed({}, {}, pem)],
    ['HMAC with an empty secret', signed({}, {}, '')],
    ['HMAC with the word secret', signed({}, {}, 'secret')],
    ['HMAC with the kid as its secret', signed({}, {}, base.kid)],
    ['HMAC with zero bytes as its secret', signed({}, {}, Buffer.alloc(32))],
    ['alg missing', signed({ alg: undefined })],
    ['alg as a list', signed({ alg: ['HS256'] })],
    ['alg null', signed({ alg: null })],
  ];
}

function headers(signed: Sign): [string, string][] {
  const jwk = { kty: 'oct', k: Buffer.from('mine').toString('base64url') };
  return [
    ['a key in the header', signed({ jwk }, {}, 'mine')],
    ['a key in the header, well signed', signed({ jwk })],
    ['jku', signed({ jku: 'https://evil.example/keys.json' })],
    ['x5u', signed({ x5u: 'https://evil.example/cert.pem' })],
    ['x5c', signed({ x5c: ['MIIB'] })],
    ['crit', signed({ crit: ['exp'] })],
    ['b64 false', signed({ b64: false, crit: ['b64'] })],
    ['zip', signed({ zip: 'DEF' })],
    ['unknown kid', signed({ kid: 'other' })],
    ['no kid', signed({ kid: undefined })],
    ['kid as a path', signed({ kid: '../../../../dev/null' }, {}, '')],
    ['kid as SQL', signed({ kid: "x' UNION SELECT 'mine" }, {}, 'mine')],
    ['kid __proto__', signed({ kid: '__proto__' })],
    ['kid constructor', signed({ kid: 'constructor' })],
    ['kid a number', signed({ kid: 1 })],
    ['typ JWT, of an id token', signed({ typ: 'JWT' })],
    ['typ missing', signed({ typ: undefined })],
    ['typ of a log-out token', signed({ typ: 'logout+jwt' })],
  ];
}

function claimsAtFault(signed: Sign, now: number): [string, string][] {
  const cases: Record<string, Json> = {
    expired: { iat: now - 600, exp: now - 60 },
    'expired long ago': { iat: 1, exp: 2 },
    'exp as text': { exp: String(now + 300) },
    'exp null': { exp: null },
    'no exp': { exp: undefined },
    'no exp, another jti': { exp: undefined, jti: 'embedded' },
    'valid for ten years': { exp: now + 315_360_000 },
    'issued in the future': { iat: now + 120, exp: now + 400 },
    'no iat': { iat: undefined },
    'not valid yet': { nbf: now + 120 },
    'another issuer': { iss: 'https://evil.example' },
    'no issuer': { iss: undefined },
    'another audience': { aud: 'billing' },
    'no audience': { aud: undefined },
    'no subject': { sub: undefined },
    'an empty subject': { sub: '' },
    'a subject of two lines': { sub: 'eve\r\nX: y' },
    'a subject as an object': { sub: { id: 'ada' } },
    'a subject too long': { sub: 'x'.repeat(201) },
    'kind system': { kind: 'system' },
    'kind root': { kind: 'root' },
    'no grants': { grants: undefined },
    'grants as text': { grants: '*' },
    'grants with more fields': { grants: [{ project: '*', role: 'administrator', also: 1 }] },
    'too many grants': { grants: Array.from({ length: 201 }, (_, i) => ({ project: `p${i}`, role: 'viewer' })) },
  };
  return Object.entries(cases).map(([name, claims]) => [name, signed({}, claims)]);
}

function spellings(valid: string): [string, string][] {
  const [head = '', payload = '', signature = ''] = valid.split('.');
  const other = encode({ ...(JSON.parse(Buffer.from(payload, 'base64url').toString()) as Json), sub: 'ada' });
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = letters.indexOf(signature.at(-1) ?? '');
  return [
    ['payload exchanged', `${head}.${other}.${signature}`],
    ['signature cut', `${head}.${payload}.${signature.slice(0, -4)}`],
    ['signature with stray bits', `${head}.${payload}.${signature.slice(0, -1)}${letters[last ^ 1] ?? ''}`],
    ['signature of other text', `${head}.${payload}.${hmac('x', 'y')}`],
    ['signature missing', `${head}.${payload}.`],
    ['two parts', `${head}.${payload}`],
    ['four parts', `${valid}.${signature}`],
    ['five parts, as if encrypted', `${head}..${payload}.${signature}.${signature}`],
    ['padding', `${valid}=`],
    ['a line break', `${head}.${payload.slice(0, 4)}\t${payload.slice(4)}.${signature}`],
    ['empty', ''],
    ['dots', '..'],
    ['a header that is no object', `${encode('HS256')}.${payload}.${signature}`],
    ['a header that is no JSON', `${Buffer.from('{').toString('base64url')}.${payload}.${signature}`],
    ['garbage', 'garbage'],
    ['twice', `${valid} ${valid}`],
    ['9,000 characters', `${head}.${'A'.repeat(9_000)}.${signature}`],
  ];
}
