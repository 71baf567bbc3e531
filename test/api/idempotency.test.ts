/** Idempotency-Key over HTTP: a repeated request is answered with what was recorded, for ever, and never across users. */
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { logHead, startServiceForTests, type Reply, type TestService } from './serviceForTests.ts';
import { agentAt, agentBody, expected, offline, quietDiscussion, turnIn } from './serviceScenes.ts';

const test = suite('idempotency');
let on: TestService;

test.before(async () => {
  on = await startServiceForTests();
});
test.after(async () => {
  await on.stop();
});

const key = (name: string) => ({ 'Idempotency-Key': name });

function replayed(reply: Reply, first: Reply): void {
  assert.equal([reply.status, reply.body], [first.status, first.body]);
  assert.is(reply.headers.get('idempotent-replayed'), 'true');
  for (const name of ['etag', 'consistency-token', 'location'])
    assert.is(reply.headers.get(name), first.headers.get(name), name);
}

/** Every keyed route: method, path, body, another body. */
async function keyedRequests(): Promise<[string, string, unknown, unknown][]> {
  const quiet = await quietDiscussion(on, { autostart: false });
  const at = `/discussions/${(await quietDiscussion(on)).id}`;
  const manual = await quietDiscussion(on, { policy: { kind: 'manual' } });
  const { data } = expected(await on.get(`/discussions/${manual.id}/participants`), 200);
  const [first, second] = data.map(({ participantId }) => ({ participantId }));
  const turn = await quietDiscussion(on);
  const ended = await quietDiscussion(on);
  return [
    ['POST', '/agents', agentBody, { ...agentBody, name: 'Bea' }],
    ['PATCH', `/agents/${await agentAt(on)}`, { name: 'Bea' }, { name: 'Cleo' }],
    ['POST', '/discussions', { title: 'Tea', topic: 'Tea?' }, { title: 'Tea', topic: 'Coffee?' }],
    ['PATCH', at, { limits: { maxTurns: 9 } }, { limits: { maxTurns: 8 } }],
    ['POST', `${at}/messages`, { content: 'Hello.' }, { content: 'Bye.' }],
    ['POST', `${at}/participants`, { userId: 'hopper' }, { userId: 'lovelace' }],
    ['POST', `/discussions/${quiet.id}/resume`, undefined, {}],
    ['POST', `${at}/pause`, undefined, {}],
    ['POST', `/discussions/${manual.id}/turns`, first, second],
    ['POST', `/discussions/${turn.id}/turns/${turnIn(turn)}/cancel`, undefined, {}],
    ['POST', `/discussions/${ended.id}/conclude`, { reason: 'decided' }, { reason: 'bored' }],
  ];
}

test(
  'same key and body: the same answer, nothing written, also after a restart; another body: 422',
  async () => {
    const done: [string, string, unknown, unknown, Reply][] = [];
    for (const [method, path, body, other] of await keyedRequests()) {
      const reply = await on.call(method, path, { body, headers: key('one') });
      assert.ok(reply.status === 200 || reply.status === 201, JSON.stringify(reply.body));
      assert.is(reply.headers.get('idempotent-replayed'), null);
      done.push([method, path, body, other, reply]);
    }
    // What comes later changes no answer of the past.
    for (const [method, path, , , reply] of done)
      if (path.endsWith('/messages') || method === 'PATCH')
        await on.post(`/discussions/${reply.body.id}/conclude`, undefined);
    for (let round = 0; round < 2; round += 1) {
      const before = await logHead(on);
      for (const [method, path, body, other, first] of done) {
        replayed(await on.call(method, path, { body, headers: key('one') }), first);
        expected(await on.call(method, path, { body: other, headers: key('one') }), 422, 'key-reused');
      }
      assert.is(await logHead(on), before, 'nothing was written');
      if (round === 0) await on.restart();
    }
  },
  { deadlineMs: 30_000 },
);

test('the body is compared as it was sent: order and spaces do not matter, defaults do', async () => {
  const first = await on.post(
    '/agents',
    `{"name":"Ada","instructions":"","model":{"provider":"offline","name":"offline"}}`,
    key('form'),
  );
  replayed(
    await on.post(
      '/agents',
      { model: { name: 'offline', provider: 'offline' }, instructions: '', name: 'Ada' },
      key('form'),
    ),
    first,
  );
  const spelled = { name: 'Ada', instructions: '', model: offline, projectId: 'default' };
  expected(await on.post('/agents', spelled, key('form')), 422, 'key-reused');
});

test('the same key of two people, and on two paths, is two requests', async () => {
  const grants = [{ project: 'default', role: 'administrator' }];
  const grace = await on.mint({ kind: 'user', id: 'grace', grants });
  const mine = expected(await on.post('/agents', agentBody, key('shared')), 201);
  const hers = await on.call('POST', '/agents', { body: agentBody, headers: key('shared'), token: grace });
  assert.is.not(expected(hers, 201).id, mine.id);
  assert.is(hers.headers.get('idempotent-replayed'), null);
  const [one, two] = [await quietDiscussion(on), await quietDiscussion(on)];
  for (const { id } of [one, two]) {
    const reply = await on.post(`/discussions/${id}/messages`, { content: 'Hello.' }, key('shared'));
    assert.is(expected(reply, 201).revision, 4);
  }
});

test('the same request many times at once is done once', async () => {
  const { id } = await quietDiscussion(on);
  const replies = await Promise.all(
    Array.from({ length: 12 }, () => on.post(`/discussions/${id}/messages`, { content: 'Hello.' }, key('rush'))),
  );
  for (const reply of replies) {
    if (reply.status === 201) continue;
    expected(reply, 409, 'in-flight');
    assert.match(reply.headers.get('retry-after') ?? '', /^\d+$/);
  }
  assert.ok(replies.some(({ status }) => status === 201));
  const { data } = expected(await on.get(`/discussions/${id}/events`), 200);
  assert.is(data.filter(({ type }) => type === 'MessagePosted').length, 1);
});

test('a refused request leaves its key free', async () => {
  const { id } = await quietDiscussion(on);
  expected(await on.post(`/discussions/${id}/resume`, undefined, key('later')), 409, 'conflict');
  expected(await on.post(`/discussions/${id}/pause`), 200);
  const reply = await on.post(`/discussions/${id}/resume`, undefined, key('later'));
  expected(reply, 200);
  assert.is(reply.headers.get('idempotent-replayed'), null);
});

test('a repetition is answered before If-Match is compared', async () => {
  const { id, revision } = await quietDiscussion(on);
  const headers = { ...key('guarded'), 'If-Match': `"r${revision}"` };
  const first = await on.post(`/discussions/${id}/messages`, { content: 'Hello.' }, headers);
  expected(first, 201);
  replayed(await on.post(`/discussions/${id}/messages`, { content: 'Hello.' }, headers), first);
});

test('keys that are none', async () => {
  for (const wrong of ['a b', 'x'.repeat(201), 'schlüssel'])
    expected(await on.post('/agents', agentBody, key(Buffer.from(wrong).toString('latin1'))), 400, 'invalid');
});

test.run();
