/** POST /api/v1/search: what is found, and by whom. */
import * as assert from 'uvu/assert';
import { aHit } from '../domain/meaning/passagesForTests.ts';
import { suite } from '../harness.ts';
import { fakeEmbedder, fakeIndex, stores } from '../projections/searchParts.ts';
import { problemIn } from './apiForTests.ts';
import { startSearchScene, textsOf, viewerOf, type SearchScene } from './searchScene.ts';
import { startServiceForTests, type TestService } from './serviceForTests.ts';
import { expected, quietDiscussion, shown, talkingDiscussion, UNKNOWN } from './serviceScenes.ts';

const test = suite('search');
let on: TestService;
let scene: SearchScene;
let tea: string;
let foreign: string;

const model = fakeEmbedder();
const meant = aHit({ passageId: '01890a5d-ac96-774b-bcce-b302099a8099', text: 'Leaves in hot water.' }, 0.8);
const store = fakeIndex(() => [meant]);
const say = async (id: string, content: string) =>
  expected(await on.post(`/discussions/${id}/messages`, { content }), 201).revision;

test.before(async () => {
  on = await startServiceForTests({ WORKER_ROLES: 'projector,relay,sweeper,turns,auditor,embedder' });
  scene = await startSearchScene(on, { embedder: () => model, index: stores({ pgvector: store }) });
  tea = (await quietDiscussion(on, { context: { text: 'Oolong is a partly oxidised tea.' } })).id;
  await say(tea, 'Is 🍵 Oolong oxidised? I asked "which {tea}?"');
  foreign = (await quietDiscussion(on, { projectId: 'elsewhere' })).id;
  await say(foreign, 'Oolong is a secret of ours.');
});
test.after(async () => {
  await scene.stop();
  await on.stop();
});

test('keyword: what was said and documents, with their words at UTF-16 ranges and the event they stand in', async () => {
  const answer = await scene.found({ query: 'oxidised oolongs', discussionId: tea });
  assert.equal([answer.mode, answer.model], ['keyword', null]);
  assert.equal(answer.data.map(({ kind }) => kind).sort(), ['document', 'message']);
  const message = answer.data.find(({ kind }) => kind === 'message');
  const { text, highlights } = message?.snippet ?? { text: '', highlights: [] };
  assert.equal(
    highlights.map(([from, to]) => text.slice(from, to)),
    ['Oolong', 'oxidised'],
  );
  const log = expected(await on.get(`/discussions/${tea}/events`), 200).data;
  const posted = log.find(({ type }) => type === 'MessagePosted');
  const { id, stream, revision, position } = posted ?? {};
  assert.equal(message?.event, { id, stream, revision, position });
  assert.equal([message?.at, message?.agentId], [posted?.['occurredAt'], null]);
});

test('semantic: the query and the filter go to the store as they are, its hits come back with their scores', async () => {
  const query = { query: ' Which "{leaves}"?\\ ', mode: 'semantic', limit: 7 };
  const filter = {
    kinds: ['message'],
    agentId: UNKNOWN,
    from: '2025-01-31T13:00:00+01:00',
    to: '2025-02-01T00:00:00.5Z',
  };
  const answer = await (await scene.ask({ ...query, ...filter })).json();
  const { passage } = meant;
  assert.equal(answer, {
    mode: 'semantic',
    model: 'builtin',
    data: [
      {
        ...{ score: 0.8, kind: 'message', discussionId: passage.discussionId, agentId: null, at: passage.at },
        snippet: { text: 'Leaves in hot water.', highlights: [[0, 6]] },
        event: { id: passage.eventId, stream: passage.stream, revision: 7, position: '42' },
      },
    ],
  });
  assert.equal(model.asked.at(-1), ['Which "{leaves}"?\\']);
  const times = { from: '2025-01-31T12:00:00.000Z', to: '2025-02-01T00:00:00.500Z' };
  const seen = { projects: null, kinds: ['message'], agentId: UNKNOWN, ...times };
  assert.equal(store.asked.at(-1), { version: 1, vector: [1, 0], filter: seen, limit: 7 });
});

test('hybrid is what is done unless said: both halves, fused, as many as asked for', async () => {
  const answer = await scene.found({ query: 'oolong', mode: undefined });
  assert.is(answer.mode, 'hybrid');
  assert.ok(textsOf(answer).includes(meant.passage.text));
  assert.ok(textsOf(answer).includes('Oolong is a partly oxidised tea.'));
  assert.is(answer.data[0]?.score, 1 / 61);
  assert.is(store.asked.at(-1)?.limit, 50, 'each half looks further than the answer');
  assert.is((await scene.found({ query: 'oolong', mode: 'hybrid', limit: 1 })).data.length, 1);
});

test('each filter holds in the answer', async () => {
  const kinds = (found: Awaited<ReturnType<SearchScene['found']>>) => found.data.map(({ kind }) => kind);
  const within = { query: 'oolong', discussionId: tea };
  assert.equal(kinds(await scene.found({ ...within, kinds: ['document'] })), ['document']);
  assert.equal(kinds(await scene.found({ ...within, kinds: ['message'] })), ['message']);
  assert.is((await scene.found({ ...within, kinds: ['message', 'document'] })).data.length, 2);
  assert.is((await scene.found({ ...within, limit: 1 })).data.length, 1);
  const at = (await scene.found({ ...within, kinds: ['message'] })).data[0]?.at ?? '';
  const message = { ...within, kinds: ['message'] };
  assert.is((await scene.found({ ...message, from: at })).data.length, 1, 'from is inclusive');
  assert.is((await scene.found({ ...message, to: at })).data.length, 0, 'to is exclusive');
  const { id } = await talkingDiscussion(on, 2);
  await shown(on, `/discussions/${id}`, (body) => body['status'] === 'concluded');
  const said = expected(await on.get(`/discussions/${id}/messages`), 200).data[0];
  const agentId = (said?.['author'] as { agentId: string }).agentId;
  const word =
    String(said?.['text'])
      .split(' ')
      .sort((a, b) => b.length - a.length)[0] ?? '';
  const theirs = await scene.found({ query: word.replaceAll(/\W/g, ''), agentId });
  assert.ok(theirs.data.length > 0, word);
  assert.ok(theirs.data.every((hit) => hit.agentId === agentId));
});

test('passages of projects that one may not read are never found, and their ids are not there', async () => {
  const [here, there] = [viewerOf('default'), viewerOf('elsewhere')];
  const secret = 'Oolong is a secret of ours.';
  assert.equal(textsOf(await scene.found({ query: 'oolong' }, there)), [secret]);
  assert.not.ok(textsOf(await scene.found({ query: 'oolong secret' }, here)).includes(secret));
  assert.ok(textsOf(await scene.found({ query: 'oolong secret' }, viewerOf('default', 'elsewhere'))).includes(secret));
  assert.equal(textsOf(await scene.found({ query: 'oolong', projectId: 'elsewhere' })), [secret]);
  for (const mode of ['keyword', 'semantic', 'hybrid']) {
    const asked = store.asked.length;
    await scene.refused({ query: 'oolong', mode, discussionId: foreign }, 404, 'not-found', here);
    await scene.refused({ query: 'oolong', mode, projectId: 'elsewhere' }, 404, 'not-found', here);
    await scene.refused({ query: 'oolong', mode, discussionId: UNKNOWN }, 404, 'not-found');
    assert.is(store.asked.length, asked);
  }
  const both = { query: 'oolong', discussionId: foreign, projectId: 'default' };
  assert.equal(textsOf(await scene.found(both)), [], 'a discussion of another project than the one named');
  await scene.ask({ query: 'oolong', mode: 'semantic' }, here);
  assert.equal(store.asked.at(-1)?.filter.projects, ['default']);
  const friend = viewerOf();
  assert.equal(textsOf(await scene.found({ query: 'oolong' }, friend)), [], 'who may read nothing finds nothing');
});

test('a fork finds what it shares with its parent up to the fork, and its own; the parent finds neither of the fork', async () => {
  const { id } = await quietDiscussion(on);
  const atRevision = await say(id, 'Rooibos grows in the Cederberg.');
  const fork = expected(await on.post(`/discussions/${id}/fork`, { atRevision }), 201).id;
  await say(id, 'Rooibos is red.');
  await say(fork, 'Rooibos is sweet.');
  const texts = async (discussionId: string) => textsOf(await scene.found({ query: 'rooibos', discussionId })).sort();
  assert.equal(await texts(fork), ['Rooibos grows in the Cederberg.', 'Rooibos is sweet.']);
  assert.equal(await texts(id), ['Rooibos grows in the Cederberg.', 'Rooibos is red.']);
});

test('a Consistency-Token waits for what the mode reads; one that is none is refused, one of the future times out', async () => {
  const head = await on.service.running.storage.store.head();
  const headers = { 'Consistency-Token': `p${head}`, Prefer: 'wait=10' };
  for (const [mode, names] of [
    ['keyword', ['passages']],
    ['semantic', ['embeddings']],
    ['hybrid', ['passages', 'embeddings']],
  ] as const) {
    scene.waitedFor.length = 0;
    assert.is((await scene.ask({ query: 'oolong', mode }, undefined, headers)).status, 200);
    assert.equal(scene.waitedFor, names);
  }
  scene.waitedFor.length = 0;
  assert.is((await scene.ask({ query: 'oolong' })).status, 200);
  assert.equal(scene.waitedFor, [], 'without a token nothing is waited for');
  const ask = (token: string) =>
    scene.ask({ query: 'x', mode: 'keyword' }, undefined, { 'Consistency-Token': token, Prefer: 'wait=0' });
  await problemIn(await ask('seven'), 400, 'invalid');
  const late = await ask(`p${head + 1_000_000n}`);
  assert.ok(late.headers.get('retry-after'));
  await problemIn(late, 503, 'projection-behind');
});

test(
  'the service itself finds by meaning what was said in other words, best first, and says what is missing where it cannot',
  async () => {
    const { id } = await quietDiscussion(on);
    for (const content of ['The cat sleeps on the warm sofa.', 'Our cluster lost two nodes.']) await say(id, content);
    const headers = { 'Consistency-Token': `p${await on.service.running.storage.store.head()}`, Prefer: 'wait=20' };
    for (const mode of ['semantic', 'hybrid']) {
      const answer = await on.post('/search', { query: 'a kitten on the couch', mode, discussionId: id }, headers);
      // A server without the extension.
      if (answer.status === 503) assert.match(answer.body.detail, /pgvector/);
      else {
        const texts = expected(answer, 200).data.map(({ snippet }) => (snippet as { text: string }).text);
        assert.equal(texts, ['The cat sleeps on the warm sofa.', 'Our cluster lost two nodes.']);
        assert.is(answer.body['model'], 'builtin');
      }
    }
  },
  { deadlineMs: 90_000 },
);

test('it is documented as a read: with Consistency-Token and Prefer, without Idempotency-Key and If-Match', async () => {
  const { paths } = (await (await fetch(`${on.url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, { parameters: { $ref?: string }[] }>>;
  };
  const [operation] = Object.entries(paths).flatMap(([path, item]) => (path.endsWith('/search') ? [item['post']] : []));
  const named = (operation?.parameters ?? []).map(({ $ref }) => $ref?.split('/').at(-1));
  assert.equal(named.sort(), ['ConsistencyToken', 'CorrelationId', 'Prefer', 'RequestId', 'Traceparent']);
});

test.run();
