/** Streams over real HTTP: nothing lost, nothing twice, in order, however often the connection breaks. */
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { checkDeltas, dataOf, durable, watch, type Viewer } from './eventSource.ts';
import { startServiceForTests, type TestService } from './serviceForTests.ts';
import { expected, logOf, quietDiscussion, talkingDiscussion } from './serviceScenes.ts';

const test = suite('streams');
let on: TestService;

test.before(async () => {
  on = await startServiceForTests();
});
test.after(async () => {
  await on.stop();
});

const bearer = () => ({ Authorization: `Bearer ${on.service.token}` });
const open = (path: string, headers: Readonly<Record<string, string>> = {}): Promise<Viewer> =>
  watch(`${on.url}/api/v1${path}`, { ...bearer(), ...headers });

test(
  'from the beginning: history, caught-up, live, end; afterwards 204',
  async () => {
    const { id, revision } = await talkingDiscussion(on, 3);
    const viewer = await open(`/discussions/${id}/stream`);
    assert.is(viewer.status, 200);
    assert.match(viewer.headers.get('content-type') ?? '', /^text\/event-stream/);
    assert.match(viewer.headers.get('cache-control') ?? '', /no-transform/);
    assert.is(viewer.headers.get('content-encoding'), null);
    await viewer.ended;
    const log = await logOf(on, id);
    assert.equal(dataOf(viewer.frames), log);
    for (const { id: frameId, event, data } of durable(viewer.frames))
      assert.equal([frameId, event], [String(data['revision']), data['type']]);
    const names = viewer.frames.map(({ event }) => event);
    assert.is(names.at(-1), 'end');
    assert.is(names.filter((name) => name === 'caught-up').length, 1);
    assert.ok(names.indexOf('caught-up') > revision, 'after history');
    assert.ok(names.includes('delta'));
    checkDeltas(viewer.frames);
    const last = String(log.length - 1);
    assert.is((await open(`/discussions/${id}/stream`, { 'Last-Event-ID': last })).status, 204);
    assert.is((await open(`/discussions/${id}/stream?after=${last}`)).status, 204);
  },
  { deadlineMs: 20_000 },
);

test('every resume gives exactly what comes after, by header and by query; the header counts', async () => {
  const { id } = await quietDiscussion(on);
  for (let i = 0; i < 5; i += 1) expected(await on.post(`/discussions/${id}/messages`, { content: `${i}` }), 201);
  expected(await on.post(`/discussions/${id}/conclude`), 200);
  const log = await logOf(on, id);
  for (let after = 0; after < log.length - 1; after += 1) {
    const byHeader = await open(`/discussions/${id}/stream?after=0`, { 'Last-Event-ID': String(after) });
    const byQuery = await open(`/discussions/${id}/stream?after=${after}`);
    for (const viewer of [byHeader, byQuery]) {
      await viewer.ended;
      assert.equal(dataOf(viewer.frames), log.slice(after + 1));
    }
  }
  const whole = await open(`/discussions/${id}/stream`, { 'Last-Event-ID': '' });
  await whole.ended;
  assert.equal(dataOf(whole.frames), log);
});

test(
  'I8: broken off at random again and again, what was seen is the log',
  async () => {
    const { id } = await talkingDiscussion(on, 8);
    const random = numbers(7);
    const follow = async (): Promise<Record<string, unknown>[]> => {
      const seen: Record<string, unknown>[] = [];
      for (let tries = 0; tries < 200; tries += 1) {
        const last = seen.at(-1)?.['revision'];
        const viewer = await open(
          `/discussions/${id}/stream`,
          last === undefined ? {} : { 'Last-Event-ID': `${Number(last)}` },
        );
        if (viewer.status === 204) return seen;
        const wanted = 1 + Math.floor(random() * 12);
        await viewer.until(({ event }) => event === 'end' || viewer.frames.length >= wanted);
        viewer.close();
        await viewer.ended;
        checkDeltas(viewer.frames);
        seen.push(...dataOf(viewer.frames));
      }
      throw new Error('it never ended');
    };
    const seen = await Promise.all(Array.from({ length: 6 }, follow));
    const log = await logOf(on, id);
    for (const each of seen) assert.equal(each, log);
  },
  { deadlineMs: 40_000 },
);

test('line breaks of every kind in texts break no frame', async () => {
  const { id } = await quietDiscussion(on);
  const texts = [
    'a\r\nb\n\nc\rd',
    '\ndata: {"type":"Fake"}\n\n',
    '\u2028\u2029\u0085\u000b',
    'event: end\n\n',
    ': \r\r',
  ];
  for (const content of texts) expected(await on.post(`/discussions/${id}/messages`, { content }), 201);
  expected(await on.post(`/discussions/${id}/conclude`), 200);
  const viewer = await open(`/discussions/${id}/stream`);
  await viewer.ended;
  const said = dataOf(viewer.frames).filter(({ type }) => type === 'MessagePosted');
  assert.equal(
    said.map(({ data }) => (data as { content: { text: string }[] }).content[0]?.text),
    texts,
  );
});

test('positions that are none, and later ones than the log has', async () => {
  const { id, revision } = await quietDiscussion(on);
  const head = await on.service.running.storage.store.head();
  const wrong: [string, string?][] = [
    [`/discussions/${id}/stream`, 'abc'],
    [`/discussions/${id}/stream`, '-1'],
    [`/discussions/${id}/stream`, '1.5'],
    [`/discussions/${id}/stream`, String(revision + 1)],
    [`/discussions/${id}/stream`, '9999999999999999999'],
    [`/discussions/${id}/stream?after=${revision + 1}`],
    [`/discussions/${id}/stream?after=-1`],
    [`/discussions/${id}/stream?after=x`],
    [`/discussions/${id}/stream?from=1`],
    ['/stream', 'abc'],
    ['/stream', '9999999999999999999'],
    ['/stream', String(head + 1000n)],
    ['/stream?after=9999999999999999999'],
    ['/stream?after=-1'],
    ['/stream?projectId=*'],
  ];
  for (const [path, last] of wrong) {
    const viewer = await open(path, last === undefined ? {} : { 'Last-Event-ID': last });
    viewer.close();
    assert.is(viewer.status, 400, `${path} ${last}`);
    assert.match(viewer.text, /"code":"invalid"/);
  }
});

test('a ticket opens one stream, once, of its path only', async () => {
  const { id } = await quietDiscussion(on);
  const path = `/api/v1/discussions/${id}/stream`;
  const ticketFor = async (of: string) =>
    expected(await on.post('/stream-tickets', { path: of }), 201)['ticket'] as string;
  const ticket = await ticketFor(path);
  const viewer = await watch(`${on.url}${path}?ticket=${ticket}&after=1`);
  assert.is(viewer.status, 200);
  assert.is((await viewer.until(({ id: frameId }) => frameId !== undefined)).id, '2');
  viewer.close();
  assert.is((await watch(`${on.url}${path}?ticket=${ticket}`)).status, 401, 'used up');
  assert.is((await watch(`${on.url}${path}?ticket=${await ticketFor('/api/v1/stream')}`)).status, 401, 'another path');
  assert.is((await watch(`${on.url}${path}?ticket=nonsense`)).status, 401);
  const elsewhere = `${on.url}/api/v1/discussions?ticket=${await ticketFor('/api/v1/discussions')}`;
  assert.is((await watch(elsewhere)).status, 401, 'streams only');
});

test('a project’s stream: from now on, of that project only, resumed by position', async () => {
  const live = await open('/stream');
  await live.until(({ event }) => event === 'caught-up');
  await quietDiscussion(on, { projectId: 'elsewhere' });
  const { id } = await quietDiscussion(on);
  const last = expected(await on.post(`/discussions/${id}/conclude`), 200).revision;
  await live.until(({ data }) => data['stream'] === `discussion-${id}` && data['revision'] === last);
  live.close();
  const seen = dataOf(live.frames);
  assert.equal(seen, await logOf(on, id));
  for (const [i, { data, id: frameId }] of durable(live.frames).entries()) {
    assert.is(frameId, data['position']);
    if (i % 2 === 0) continue;
    const resumed = await open('/stream', { 'Last-Event-ID': frameId ?? '' });
    await resumed.until(({ event }) => event === 'caught-up');
    resumed.close();
    assert.equal(dataOf(resumed.frames), seen.slice(i + 1));
  }
});

/** A small generator of numbers in [0, 1) that gives the same for the same seed. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
}

test.run();
