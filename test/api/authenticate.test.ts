import { createSecretKey, generateKeyPairSync } from 'node:crypto';
import jwt from 'jsonwebtoken';
import * as assert from 'uvu/assert';
import { createAuthenticate } from '../../api/authenticate.ts';
import { createStreamTickets } from '../../api/streamTickets.ts';
import { Refusal } from '../../domain/refusal.ts';
import { systemClock, systemIds } from '../../infra/system.ts';
import { suite } from '../harness.ts';
import { createMemoryTickets } from '../standins/memoryTickets.ts';
import {
  AUDIENCE,
  EMBEDDED_TOKEN_ID,
  ISSUER,
  KID,
  problemIn,
  SECRET,
  startApi,
  type TestApi,
  tokenFor,
} from './apiForTests.ts';
import { THING } from './sampleRoutes.ts';
import { forgedTokens } from './forgedTokens.ts';

const test = suite('api authentication');
let api: TestApi;

test.before(async () => {
  api = await startApi();
});
test.after(async () => {
  await api.drain();
});

const nowSeconds = (): number => Math.floor(Date.now() / 1000);
const things = async (authorization?: string): Promise<Response> =>
  await fetch(
    `${api.url}/api/v1/things`,
    authorization === undefined ? {} : { headers: { Authorization: authorization } },
  );

test('a valid token is accepted, in any spelling of the scheme', async () => {
  assert.is((await things(`Bearer ${tokenFor()}`)).status, 200);
  assert.is((await things(`bearer  ${tokenFor()}`)).status, 200);
});

test('no token is 401 with a bare challenge, a bad one says invalid_token', async () => {
  const none = await things();
  assert.is(none.headers.get('www-authenticate'), 'Bearer realm="colloquy"');
  await problemIn(none, 401, 'unauthenticated');
  const bad = await things('Bearer abc');
  assert.is(bad.headers.get('www-authenticate'), 'Bearer realm="colloquy", error="invalid_token"');
  await problemIn(bad, 401, 'unauthenticated');
  for (const scheme of ['Basic YTpi', tokenFor(), `Token ${tokenFor()}`, 'Bearer', ''])
    await problemIn(await things(scheme), 401, 'unauthenticated');
});

test('a token is asked for before anything else is told', async () => {
  await problemIn(await fetch(`${api.url}/api/v1/things?wrong=1`), 401, 'unauthenticated');
  await problemIn(
    await fetch(`${api.url}/api/v1/things`, { method: 'POST', body: 'x'.repeat(300_000) }),
    401,
    'unauthenticated',
  );
});

test('0 of the corpus of forged tokens are accepted, and each gets the same answer', async () => {
  const corpus = forgedTokens({
    issuer: ISSUER,
    audience: AUDIENCE,
    kid: KID,
    secret: SECRET,
    nowSeconds: nowSeconds(),
  });
  assert.ok(corpus.size >= 70, `${corpus.size} tokens`);
  for (const [attack, token] of corpus) {
    const answer = await things(`Bearer ${token}`);
    if (answer.status !== 401) throw new Error(`accepted: ${attack} (${answer.status})`);
    const { detail } = await problemIn(answer, 401, 'unauthenticated');
    assert.match(detail, attack.startsWith('expired') ? /has expired/ : /not valid here|send a token/, attack);
  }
});

test('the same corpus base, unforged, is accepted', async () => {
  const token = jwt.sign({ sub: 'eve', iss: ISSUER, aud: AUDIENCE, grants: [] }, SECRET, {
    keyid: KID,
    expiresIn: 300,
    header: { alg: 'HS256', typ: 'at+jwt' },
  });
  assert.is((await things(`Bearer ${token}`)).status, 200);
});

test('only the token that the composition root names may go without exp', async () => {
  const options = { algorithm: 'HS256', keyid: KID, header: { alg: 'HS256', typ: 'at+jwt' } } as const;
  const claims = { sub: 'administrator', grants: [], iss: ISSUER, aud: AUDIENCE };
  const embedded = jwt.sign({ ...claims, jti: EMBEDDED_TOKEN_ID }, SECRET, options);
  assert.is((await things(`Bearer ${embedded}`)).status, 200);
  await problemIn(
    await things(`Bearer ${jwt.sign({ ...claims, jti: 'other' }, SECRET, options)}`),
    401,
    'unauthenticated',
  );
});

test('keys rotate by kid with overlap, each with its own algorithm', async () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const authenticate = createAuthenticate({
    keys: new Map([
      ['old', { algorithm: 'HS256', key: createSecretKey(Buffer.from(SECRET)) }],
      ['new', { algorithm: 'ES256', key: ec.publicKey }],
    ]),
    issuer: ISSUER,
    audience: AUDIENCE,
    clock: systemClock,
  });
  const byNew = jwt.sign({ sub: 'ada', iss: ISSUER, aud: AUDIENCE, grants: [] }, ec.privateKey, {
    expiresIn: 60,
    keyid: 'new',
    algorithm: 'ES256',
    header: { alg: 'ES256', typ: 'at+jwt' },
  });
  assert.is((await authenticate(`Bearer ${byNew}`)).actor.id, 'ada');
  const byOld = await authenticate(`Bearer ${tokenFor({}, { keyid: 'old' })}`);
  assert.is(byOld.actor.id, 'ada');
  assert.ok(Math.abs((byOld.expiresAt ?? 0) - Date.now() - 300_000) < 5_000);
  await rejected(authenticate(`Bearer ${tokenFor({}, { keyid: 'new' })}`));
});

test('a token that was accepted ends with its time, its key and its permission', async () => {
  let now = Date.now();
  const keys = new Map([[KID, { algorithm: 'HS256' as const, key: createSecretKey(Buffer.from(SECRET)) }]]);
  const permitted = new Set([EMBEDDED_TOKEN_ID]);
  const authenticate = createAuthenticate({
    keys,
    issuer: ISSUER,
    audience: AUDIENCE,
    clock: { ...systemClock, now: () => now },
    neverExpires: (tokenId) => permitted.has(tokenId),
  });
  const short = `Bearer ${tokenFor()}`;
  const embedded = `Bearer ${jwt.sign({ sub: 'administrator', grants: [], iss: ISSUER, aud: AUDIENCE, jti: EMBEDDED_TOKEN_ID }, SECRET, { keyid: KID, header: { alg: 'HS256', typ: 'at+jwt' } })}`;
  for (let i = 0; i < 2; i += 1) {
    assert.is((await authenticate(short)).actor.id, 'ada');
    assert.is((await authenticate(embedded)).expiresAt, null);
  }
  now += 310_000;
  await rejected(authenticate(short));
  permitted.clear();
  await rejected(authenticate(embedded));
  now -= 310_000;
  assert.is((await authenticate(short)).actor.id, 'ada');
  keys.delete(KID);
  await rejected(authenticate(short));
});

test('a foreign object is 404, an action above one’s role 403', async () => {
  const as = async (grants: object[], init: RequestInit = {}, path = `/api/v1/things/${THING}`): Promise<Response> =>
    await fetch(api.url + path, {
      ...init,
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${tokenFor({ grants })}` },
    });
  const make = { method: 'POST', body: '{"name":"x"}' };
  assert.is((await as([{ project: 'alpha', role: 'viewer' }])).status, 200);
  await problemIn(await as([{ project: 'beta', role: 'administrator' }]), 404, 'not-found');
  await problemIn(await as([]), 404, 'not-found');
  await problemIn(await as([{ project: 'alpha', role: 'viewer' }], make, '/api/v1/things'), 403, 'forbidden');
  await problemIn(await as([{ project: 'beta', role: 'viewer' }], make, '/api/v1/things'), 404, 'not-found');
});

test('a stream opens with a token, or with a ticket once, for its path only', async () => {
  const path = `/api/v1/things/${THING}/stream`;
  const open = async (query: string): Promise<Response> => {
    const leave = new AbortController();
    const answer = await fetch(api.url + path + query, { signal: leave.signal });
    if (answer.status === 200) setTimeout(() => leave.abort(), 20);
    return answer;
  };
  const made = await api.post('/api/v1/stream-tickets', { path });
  assert.is(made.status, 201);
  const { ticket, expiresAt } = (await made.json()) as { ticket: string; expiresAt: string };
  assert.ok(Date.parse(expiresAt) - Date.now() <= 30_000);
  assert.is((await open(`?ticket=${ticket}&after=3`)).status, 200);
  await problemIn(await open(`?ticket=${ticket}`), 401, 'unauthenticated');
  await problemIn(await open(''), 401, 'unauthenticated');
  await problemIn(await open('?ticket=abc'), 401, 'unauthenticated');
  const other = (await (await api.post('/api/v1/stream-tickets', { path: '/api/v1/things/x/stream' })).json()) as {
    ticket: string;
  };
  await problemIn(await open(`?ticket=${other.ticket}`), 401, 'unauthenticated');
  await problemIn(await fetch(`${api.url}/api/v1/things?ticket=${ticket}`), 401, 'unauthenticated');
  for (const bad of ['/other', 'https://evil.example/api/v1/x', '/api/v1/x?y=1'])
    await problemIn(await api.post('/api/v1/stream-tickets', { path: bad }), 400, 'invalid');
  assert.not.ok(JSON.stringify(api.log).includes(ticket), 'tickets stay out of the log');
});

test('tickets end with their time and their token, and are bounded', async () => {
  let now = 1_000_000;
  const clock = { ...systemClock, now: () => now, monotonic: () => now };
  const tickets = createStreamTickets(createMemoryTickets(clock), clock, systemIds);
  const who = { actor: { kind: 'user', id: 'ada', grants: [] }, expiresAt: now + 5_000 } as const;
  const late = (await tickets.issue({ ...who, expiresAt: null }, '/p')).ticket;
  const stale = (await tickets.issue(who, '/p')).ticket;
  now += 5_000;
  await rejected(tickets.redeem(stale, '/p'));
  now += 25_000;
  await rejected(tickets.redeem(late, '/p'));
  for (let i = 0; i < 100; i += 1) await tickets.issue(who, '/p');
  await rejected(tickets.issue(who, '/p'), 'rate-limited');
  now += 30_000;
  await tickets.issue(who, '/p');
});

async function rejected(work: Promise<unknown>, code = 'unauthenticated'): Promise<void> {
  await work.then(
    () => assert.unreachable('must be refused'),
    (error: unknown) => assert.is(error instanceof Refusal && error.code, code),
  );
}

test.run();
