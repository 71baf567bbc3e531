/** What is wrong with a request, beyond what every operation refuses: each a problem, and nothing is written. */
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { logHead, startServiceForTests, type Body, type TestService } from './serviceForTests.ts';
import { agentAt, agentBody, expected, offline, quietDiscussion, shown, turnIn, UNKNOWN } from './serviceScenes.ts';

const test = suite('refusals of the service');
let on: TestService;

test.before(async () => {
  on = await startServiceForTests();
});
test.after(async () => {
  await on.stop();
});

/** The problem, which must have written nothing. */
async function refused(
  method: string,
  path: string,
  body: unknown,
  status: number,
  code: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Body> {
  const before = await logHead(on);
  const problem = expected(await on.call(method, path, { body, headers }), status, code);
  assert.is(await logHead(on), before, `${method} ${path} wrote nothing`);
  return problem;
}

const post = (path: string, body: unknown, status: number, code: string) => refused('POST', path, body, status, code);
const tea = { title: 'Tea', topic: 'Tea or coffee?' };

test('agents: each field of a wrong type, out of range, unknown', async () => {
  const wrong: [object, string][] = [
    [{ ...agentBody, name: '' }, '/name'],
    [{ ...agentBody, name: 7 }, '/name'],
    [{ ...agentBody, name: 'a\nb' }, '/name'],
    [{ ...agentBody, name: '@ada' }, '/name'],
    [{ ...agentBody, instructions: 'x'.repeat(20_001) }, '/instructions'],
    [{ ...agentBody, model: { ...offline, provider: 'other' } }, '/model/provider'],
    [{ ...agentBody, model: { ...offline, parameters: { temperature: 'hot' } } }, '/model/parameters/temperature'],
    [{ ...agentBody, model: { ...offline, parameters: { num_predict: 0 } } }, '/model/parameters/num_predict'],
    [{ ...agentBody, model: { ...offline, parameters: { mirostat: 1 } } }, '/model/parameters/mirostat'],
    [{ ...agentBody, projectId: 'Not A Project' }, '/projectId'],
    [{ ...agentBody, role: 'administrator' }, '/role'],
  ];
  for (const [body, pointer] of wrong) {
    const { errors } = await post('/agents', body, 400, 'invalid');
    assert.equal(
      errors.map((each) => each.pointer),
      [pointer],
    );
  }
});

test('discussions: policy, limits, participants', async () => {
  const wrong: [object, string][] = [
    [{ topic: 'no title' }, '/title'],
    [{ ...tea, topic: '   ' }, '/topic'],
    [{ ...tea, policy: { kind: 'whoever' } }, '/policy/kind'],
    [{ ...tea, policy: { kind: 'weighted-random', seed: -1 } }, '/policy/seed'],
    [{ ...tea, limits: { maxTurns: 0 } }, '/limits/maxTurns'],
    [{ ...tea, limits: { maxTurns: 1.5 } }, '/limits/maxTurns'],
    [{ ...tea, limits: { deadline: 'tomorrow' } }, '/limits/deadline'],
    [{ ...tea, limits: { deadline: '2020-01-01T00:00:00Z' } }, '/limits/deadline'],
    [{ ...tea, limits: { stopPhrases: [''] } }, '/limits/stopPhrases/0'],
    [{ ...tea, priority: 10 }, '/priority'],
    [{ ...tea, participants: [{ agentId: UNKNOWN }] }, '/participants/0'],
    [{ ...tea, participants: [{ agentId: 'ada' }] }, '/participants/0/agentId'],
    [{ ...tea, participants: [{ userId: 'grace', role: 'boss' }] }, '/participants/0/role'],
    [{ ...tea, context: { documentIds: [UNKNOWN] } }, '/context/documentIds'],
  ];
  for (const [body, pointer] of wrong) {
    const { errors } = await post('/discussions', body, 400, 'invalid');
    assert.is(errors[0]?.pointer, pointer, JSON.stringify(errors));
  }
  const twice = { ...tea, participants: [{ userId: 'grace' }, { userId: 'grace' }] };
  await post('/discussions', twice, 400, 'invalid');
});

test('maxCostUsd without a price', async () => {
  const limits = { maxCostUsd: 1 };
  const agentId = await agentAt(on, { model: { provider: 'openai', name: 'gpt-4o' } });
  const { errors } = await post('/discussions', { ...tea, limits, participants: [{ agentId }] }, 400, 'invalid');
  assert.equal([errors[0]?.pointer, errors[0]?.code], ['/participants/0', 'no-price']);
  const { id } = await quietDiscussion(on);
  await refused('PATCH', `/discussions/${id}`, { limits }, 400, 'invalid');
});

test('a document that is not text', async () => {
  const bodyWith = (text: string) => `{"title":"Tea","topic":"Tea?","context":{"text":"${text}"}}`;
  for (const text of ['\\u0000', 'a\\u0000b', '\\ud800', '\\udc00x', '\\ud800\\ud800']) {
    const { errors } = await post('/discussions', bodyWith(text), 400, 'invalid');
    assert.equal([errors[0]?.pointer, errors[0]?.code], ['/context/text', 'not-text']);
  }
  expected(await on.post('/discussions', bodyWith('\\ud83d\\ude00')), 201);
  await post('/discussions', { ...tea, context: { text: 'x'.repeat(200_001) } }, 400, 'invalid');
  await post('/discussions', { ...tea, context: { text: ['a', 'b'] } }, 400, 'invalid');
  const before = await logHead(on);
  for (const bytes of [
    Buffer.from([0xff, 0xfe, 0x00]),
    Buffer.from([0x89, 0x50, 0x4e, 0x47]),
    Buffer.from([0xc3, 0x28]),
  ]) {
    const body = Buffer.concat([Buffer.from(bodyWith('').slice(0, -3)), bytes, Buffer.from('"}}')]);
    const headers = { Authorization: `Bearer ${on.service.token}`, 'Content-Type': 'application/json' };
    const answer = await fetch(`${on.url}/api/v1/discussions`, { method: 'POST', headers, body });
    const problem = (await answer.json()) as Body;
    assert.equal([answer.status, problem.code, problem.errors[0]?.code], [400, 'invalid', 'malformed-json']);
  }
  assert.is(await logHead(on), before);
});

test('the largest document goes in, a larger body does not', async () => {
  const text = 'x'.repeat(200_000);
  const opened = expected(await on.post('/discussions', { ...tea, context: { text } }), 201);
  const { data } = expected(await on.get(`/discussions/${opened.id}/events?limit=1`), 200);
  assert.is((data[0]?.['data'] as { context: { text: string } }).context.text.length, 200_000);
  await post('/discussions', { ...tea, context: { text: '\u{1f600}'.repeat(70_000) } }, 413, 'too-large');
});

test('retired agents join nothing', async () => {
  const agentId = await agentAt(on);
  const { id } = await quietDiscussion(on);
  expected(await on.call('DELETE', `/agents/${agentId}`), 200);
  await refused('DELETE', `/agents/${agentId}`, undefined, 409, 'conflict');
  await refused('PATCH', `/agents/${agentId}`, { name: 'Bea' }, 409, 'conflict');
  for (const [path, body] of [
    ['/discussions', { ...tea, participants: [{ agentId }] }],
    [`/discussions/${id}/participants`, { agentId }],
  ] as const) {
    const { errors } = await post(path, body, 400, 'invalid');
    assert.is(errors[0]?.code, 'retired-agent');
  }
});

test('a concluded discussion takes nothing more', async () => {
  const opened = await quietDiscussion(on);
  const turnId = turnIn(opened);
  const { data } = expected(await on.get(`/discussions/${opened.id}/participants`), 200);
  const { participantId } = data[0] as { participantId: string };
  expected(await on.post(`/discussions/${opened.id}/conclude`, { reason: 'decided' }), 200);
  const requests: [string, string, unknown?][] = [
    ['POST', '/messages', { content: 'One more thing.' }],
    ['POST', '/messages', { content: 'My answer.', turnId }],
    ['POST', '/participants', { userId: 'hopper' }],
    ['DELETE', `/participants/${participantId}`],
    ['POST', '/turns', { participantId }],
    ['POST', `/turns/${turnId}/cancel`],
    ['POST', `/turns/${turnId}/retry`],
    ['POST', '/pause'],
    ['POST', '/resume'],
    ['POST', '/conclude'],
    ['PATCH', '', { limits: { maxTurns: 99 } }],
  ];
  for (const [method, path, body] of requests) {
    const { detail } = await refused(method, `/discussions/${opened.id}${path}`, body, 409, 'conflict');
    assert.match(detail, /concluded \(requested\)/);
  }
});

test('states that forbid it: paused twice, open twice, a turn that is open, is over, is a model’s', async () => {
  const opened = await quietDiscussion(on);
  const at = `/discussions/${opened.id}`;
  await post(`${at}/resume`, undefined, 409, 'conflict');
  expected(await on.post(`${at}/pause`), 200);
  await post(`${at}/pause`, undefined, 409, 'conflict');
  expected(await on.post(`${at}/resume`), 200);
  await post(`${at}/turns/${turnIn(opened)}/retry`, undefined, 409, 'conflict');
  await post(`${at}/turns/${UNKNOWN}/cancel`, undefined, 409, 'conflict');
  await post(`${at}/turns`, { participantId: UNKNOWN }, 409, 'conflict');
  await post(`${at}/participants`, { userId: 'grace' }, 409, 'conflict');
  await post(`${at}/messages`, { content: '' }, 400, 'invalid');
  await post(`${at}/messages`, { content: [] }, 400, 'invalid');
  await post(`${at}/messages`, { content: [{ type: 'image', url: 'x' }] }, 400, 'invalid');
  await post(`${at}/messages`, { content: 'x'.repeat(100_001) }, 400, 'invalid');
  await refused('DELETE', `${at}/participants/${UNKNOWN}`, undefined, 404, 'not-found');
  await refused('PATCH', at, {}, 400, 'invalid');
});

test('a stale If-Match', async () => {
  const { id, revision } = await quietDiscussion(on);
  expected(await on.post(`/discussions/${id}/messages`, { content: 'Hello.' }), 201);
  const headers = { 'If-Match': `"r${revision}"` };
  const problem = await refused(
    'PATCH',
    `/discussions/${id}`,
    { limits: { maxTurns: 9 } },
    412,
    'revision-mismatch',
    headers,
  );
  assert.is(problem['actualRevision'], revision + 1);
  const fresh = { 'If-Match': `"r${revision + 1}"` };
  expected(await on.call('PATCH', `/discussions/${id}`, { body: { limits: { maxTurns: 9 } }, headers: fresh }), 200);
  for (const tag of ['*', 'W/"r1"', '"1"', 'r1', '"r1", "r2"'])
    await refused('POST', `/discussions/${id}/pause`, undefined, 400, 'invalid', { 'If-Match': tag });
  await refused('POST', '/agents', agentBody, 400, 'invalid', { 'If-Match': '"r0"' });
});

test(
  'an Ollama that does not answer: models say so, a turn records a failed attempt',
  async () => {
    const { data, ollama } = expected(await on.get('/models'), 200);
    assert.equal([data.map(({ name }) => name), (ollama as { reachable: boolean }).reachable], [['offline'], false]);
    for (const path of ['/models/running', '/models/smollm2%3A135m']) expected(await on.get(path), 503, 'unavailable');
    const pull = expected(await on.post('/models/pull', { name: 'smollm2:135m' }), 202);
    const failed = await shown(on, `/operations/${pull.id}`, (body) => body['status'] !== 'running');
    assert.equal([failed['status'], (failed['error'] as { code: string }).code], ['failed', 'unavailable']);

    const agentId = await agentAt(on, { model: { provider: 'ollama', name: 'smollm2:135m' } });
    const { id } = await quietDiscussion(on, { participants: [{ agentId }] });
    const isOver = ({ type }: Record<string, unknown>) => type === 'TurnAttemptAbandoned';
    const events = await shown(on, `/discussions/${id}/events`, (body) => body.data.some(isOver));
    const abandoned = events.data.find(isOver)?.['data'] as { reason: string; detail: string; usage: object };
    assert.is(abandoned.reason, 'error');
    assert.not.match(abandoned.detail, /127\.0\.0\.1|ECONN|node:/);
    expected(await on.post(`/discussions/${id}/conclude`), 200);
  },
  { deadlineMs: 20_000 },
);

test('backups of a service that has no place for them: it says which setting to make', async () => {
  const without = await startServiceForTests({ BACKUP_STORE: '' });
  try {
    for (const [method, path] of [
      ['GET', '/backups'],
      ['POST', '/backups'],
    ] as const) {
      const { detail } = expected(await without.call(method, path), 409, 'conflict');
      assert.match(String(detail), /BACKUP_STORE/);
    }
  } finally {
    await without.stop();
  }
});

test.run();
