/** What a Weaviate, or whatever stands at its address, may answer wrongly: by a peer of ours that does so when told. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import * as assert from 'uvu/assert';
import { Refusal } from '../../domain/refusal.ts';
import { createWeaviate, type WeaviateIndex } from '../../infra/weaviate.ts';
import { aPassage, aVector, EVERYTHING, idsOf, own, randoms, someObjects, SPEC } from '../contracts/samplePassages.ts';
import { suite } from '../harness.ts';
import { wallClock } from '../standins/wallClock.ts';

const test = suite('faults of a Weaviate');
const KEY = 'key-that-nobody-may-see';
const SECRET = 'what-was-asked-for';
const LIMITS = { readMs: 1_500, writeMs: 1_500 };
const objects = someObjects(3, 31);
const wanted = { vector: objects[0]?.vector ?? [], filter: { ...EVERYTHING, agentId: SECRET }, limit: 5 };
const { signal } = new AbortController();

interface Sent {
  readonly what: string;
  readonly body: string;
  readonly at: ServerResponse;
}
type Play = (sent: Sent) => void;

let server: Server;
let index: WeaviateIndex;
let kept: unknown;
let requests: Sent[];
/** In the place of what is answered else, by method and path. */
let plays: Record<string, Play>;
let open = 0;
let mostOpen = 0;

const json =
  (body: unknown, status = 200): Play =>
  ({ at }) =>
    void at.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
const succeeds: Play = (sent) => {
  const { objects: given } = JSON.parse(sent.body) as { objects: { class: string; id: string }[] };
  if (given[0]?.class === 'Colloquy_nothing') json([{ result: statusOf("class 'X' not present in schema") }])(sent);
  else json(given.map(({ id }) => ({ id, result: { status: 'SUCCESS' } })))(sent);
};
const statusOf = (message: string) => ({ status: 'FAILED', errors: { error: [{ message }] } });
const usual: Record<string, Play> = {
  'GET /v1/.well-known/ready': ({ at }) => void at.writeHead(200).end(),
  'GET /v1/meta': json({ version: '1.35.2' }),
  'POST /v1/schema': (sent) => {
    kept = JSON.parse(sent.body);
    json(kept)(sent);
  },
  'GET /v1/schema/': (sent) => json(kept ?? {}, kept === undefined ? 404 : 200)(sent),
  'POST /v1/batch/objects': succeeds,
};

async function answer(request: IncomingMessage, at: ServerResponse): Promise<void> {
  open += 1;
  mostOpen = Math.max(mostOpen, open);
  at.once('close', () => (open -= 1));
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
  const path = (request.url ?? '').replace(/^(\/v1\/schema\/).*/, '$1');
  const sent = { what: `${request.method ?? ''} ${path}`, body, at };
  requests.push(sent);
  (plays[sent.what] ?? usual[sent.what] ?? json({ message: 'no such path' }, 404))(sent);
}

test.before(async () => {
  server = createServer((request, at) => void answer(request, at).catch(() => at.destroy()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
test.after(() => {
  server.closeAllConnections();
  server.close();
});
test.before.each(async () => {
  [kept, requests, plays, mostOpen] = [undefined, [], {}, 0];
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  const url = `http://127.0.0.1:${address.port}/`;
  index = createWeaviate({ url, apiKey: KEY, lineage: 'faults', clock: wallClock, limits: LIMITS });
  await index.create(1, SPEC);
});
test.after.each(() => index.close());

/** Everything that is refused in this file is looked through for the key and the query. */
async function refused(work: Promise<unknown>): Promise<Refusal> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Refusal)) throw new Error(`no refusal: ${inspect(error)}`);
  const all = inspect(error, { depth: 20, showHidden: true });
  for (const hidden of [KEY, SECRET, 'nearVector', String(wanted.vector[0])]) assert.not.ok(all.includes(hidden), all);
  return error;
}

const search = () => index.search(1, wanted, { signal });
const put = () => index.put(1, objects);
const remove = () => index.remove(1, idsOf(objects));
const WRITE = 'POST /v1/batch/objects';
const QUERY = 'POST /v1/graphql';
const DELETE = 'DELETE /v1/batch/objects';

const half: Play = ({ at }) => {
  at.writeHead(200, { 'content-length': '1000' }).write('[{"id"');
  setImmediate(() => at.destroy());
};
const broken: Readonly<Record<string, Play>> = {
  'an empty body': ({ at }) => void at.writeHead(200).end(),
  'half a body': half,
  nothing: () => undefined,
  'a closed connection': ({ at }) => void at.destroy(),
  HTML: ({ at }) => void at.writeHead(200, { 'content-type': 'text/html' }).end('<html>welcome</html>'),
  'other JSON': json({ hello: ['world'] }),
  null: json(null),
  'a redirect': ({ at }) => void at.writeHead(302, { location: 'http://127.0.0.1:9/' }).end(),
  'status 500': json({ error: [{ message: `panic at ${SECRET}` }] }, 500),
  'status 502 in HTML': ({ at }) => void at.writeHead(502).end('<html>bad gateway</html>'),
  'status 429': json({ message: 'slow down' }, 429),
};

for (const [name, play] of Object.entries(broken))
  test(`W3, W18, W19: ${name} in the place of an answer is an unknown outcome, within the deadline`, async () => {
    plays = { [WRITE]: (sent) => (sent.body.includes('Colloquy_nothing') ? succeeds(sent) : play(sent)) };
    plays[QUERY] = plays[DELETE] = play;
    const work = [put, remove, search, () => index.vectors(1, idsOf(objects)), () => index.unfindable(1, own(objects))];
    const answers = await Promise.all(work.map((each) => refused(each())));
    for (const { code, retryable } of answers) assert.equal([code, retryable], ['unavailable', true]);
  });

test('W3, W4: a batch counts only when every object has its success, in its place', async () => {
  const ok = objects.map(({ passage }) => ({ id: passage.passageId, result: { status: 'SUCCESS' } }));
  const failed = { ...ok[1], result: statusOf(`no such prop ${SECRET}`) };
  const wrong = [
    ok.slice(1),
    [...ok, ok[0]],
    [ok[1], ok[0], ok[2]],
    [ok[0], failed, ok[2]],
    [{ id: 'x' }, ...ok.slice(1)],
  ];
  for (const each of [...wrong, [{ ...ok[0], result: {} }, ...ok.slice(1)]]) {
    plays[WRITE] = (sent) => (sent.body.includes('Colloquy_nothing') ? succeeds(sent) : json(each)(sent));
    assert.is((await refused(put())).code, 'unavailable', JSON.stringify(each));
  }
});

test('W12: deletes go on until none matches, and end when they do not get on', async () => {
  const results = (matches: number, successful: number, failed = 0) => ({ results: { matches, successful, failed } });
  const left = [results(30, 20), results(10, 10), results(0, 0)];
  plays[DELETE] = (sent) => json(left.shift())(sent);
  await remove();
  assert.equal(left, []);
  for (const stuck of [results(10, 0), results(3, 2, 1)]) {
    plays[DELETE] = json(stuck);
    assert.is((await refused(remove())).code, 'unavailable');
  }
  plays[DELETE] = json(results(5, 5));
  assert.is((await refused(remove())).code, 'unavailable', 'for ever');
});

test('W8: a class that was made otherwise than asked for is refused', async () => {
  const made = kept as { vectorIndexConfig: object; properties: object[] };
  const others = [
    { vectorIndexConfig: { distance: 'cosinus' } },
    { properties: made.properties.slice(1) },
    { description: 'x' },
  ];
  for (const other of others) {
    kept = { ...made, ...other };
    assert.is((await refused(index.create(1, SPEC))).code, 'conflict');
    assert.is((await refused(put())).code, 'conflict');
  }
});

test('W18: errors of a query that repeat it, beside data or alone, are told without it', async () => {
  const errors = [{ message: `Argument "where" has invalid value {valueText: "${SECRET}"}` }];
  for (const body of [{ errors }, { data: { Get: { C: [] } }, errors }]) {
    plays[QUERY] = json(body);
    assert.match((await refused(search())).message, /^Weaviate refused a search \(200\)/);
  }
});

test('W19, W24: at most 8 requests at once, batches of at most 250 objects and 4 MB', async () => {
  plays[QUERY] = (sent) => void setTimeout(() => json({ data: { Get: {} } })(sent), 20);
  await Promise.all(Array.from({ length: 50 }, () => refused(search())));
  assert.ok(mostOpen <= 8 && mostOpen > 1, `${mostOpen} at once`);
  const random = randoms(5);
  const long = Array.from({ length: 300 }, (_, i) => {
    return { passage: aPassage(`long ${i}`, { text: 'ä'.repeat(i < 20 ? 500_000 : 10) }), vector: aVector(random) };
  });
  requests = [];
  await index.put(1, long);
  const sizes = requests.filter(({ what }) => what === WRITE).map(({ body }) => Buffer.byteLength(body));
  const counts = requests.filter(({ what }) => what === WRITE).map(({ body }) => body.split('"class"').length - 1);
  assert.ok(Math.max(...sizes) <= 4 << 20 && Math.max(...counts) <= 250, `${sizes.join()} ${counts.join()}`);
  assert.is(
    counts.reduce((sum, count) => sum + count, 0),
    300,
  );
});

test('W5, W13, W16: what cannot be answered is never sent', async () => {
  requests = [];
  const { vector } = wanted;
  const bad = [
    { ...wanted, limit: 0 },
    { ...wanted, limit: 1_001 },
    { ...wanted, vector: [] },
    { ...wanted, vector: [NaN] },
  ];
  for (const each of bad) assert.is((await refused(index.search(1, each, { signal }))).code, 'invalid');
  for (const filter of [{ projects: [] }, { projects: null, within: [] }, { projects: null, kinds: [] }])
    assert.equal(await index.search(1, { vector, filter, limit: 5 }, { signal }), []);
  assert.is(requests.filter(({ what }) => what === QUERY).length, 0);
});

test('W21: a wrong key and a missing right are named, and are no passing faults', async () => {
  plays[QUERY] = json({ code: 401, message: 'unauthorized: invalid api key' }, 401);
  const wrong = await refused(search());
  assert.match(wrong.message, /WEAVIATE_API_KEY/);
  plays[QUERY] = json({ error: [{ message: "user 'u' has insufficient permissions to create_data [[x]]" }] }, 403);
  const lacking = await refused(search());
  assert.match(lacking.message, /lacks create_data/);
  assert.equal([wrong.retryable, lacking.retryable], [false, false]);
});

test('where the incarnation may not be seen, it is another one for each process', async () => {
  const first = await index.incarnation();
  assert.is(await index.incarnation(), first);
  assert.match(first ?? '', /^process /);
});

test('an address or key that cannot be used is refused at once, without showing it', () => {
  const bad = ['nothing', 'ftp://host', 'http://user:secret@host', ''].map((url) => ({ url, apiKey: KEY }));
  for (const options of [...bad, { url: 'http://host', apiKey: `${KEY}\n` }]) {
    assert.throws(
      () => createWeaviate({ ...options, lineage: 'l', clock: wallClock }),
      (error: unknown) => error instanceof Refusal && !/secret|nobody/.test(inspect(error)) && error.code === 'invalid',
    );
  }
});

test.run();
