/** Forks over the API: made, refused, read with what they inherited, their lineage and what parts two of them. */
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { expected, logOf, offline, quietDiscussion, talkingDiscussion, agentAt, shown } from './serviceScenes.ts';
import { startServiceForTests, type Body, type TestService } from './serviceForTests.ts';

const test = suite('api: forks');
let on: TestService;

test.before(async () => {
  on = await startServiceForTests();
});
test.after(() => on.stop());

const post = async (id: string, content: string) =>
  expected(await on.post(`/discussions/${id}/messages`, { content }), 201);
/** What the answers of this file hold beside the usual. */
type Seen = Body & {
  readonly forkedFrom: { discussionId: string; revision: number; prefixHash: string } | null;
  readonly participants: { participantId: string }[];
  readonly usage: object;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly ancestors: { id: string; title: string; revision: number }[];
  readonly children: { id: string; title: string; revision: number }[];
  readonly common: object;
  readonly differences: {
    title: object;
    policy: null;
    limits: { here: { maxTurns: number }; there: { maxTurns: number } };
    participants: { here: { agentVersion: number }; there: { agentVersion: number } }[];
  };
  readonly messages: { here: { text: string }[]; there: { text: string }[] };
};

/** Read with everything that was written. */
async function seen(path: string): Promise<Seen> {
  const headers = { 'Consistency-Token': `p${await on.service.running.storage.store.head()}`, Prefer: 'wait=10' };
  return expected(await on.get(path, { headers }), 200) as Seen;
}
const fork = async (id: string, body: object, status = 201) =>
  expected(await on.post(`/discussions/${id}/fork`, body), status);
const texts = (rows: readonly Record<string, unknown>[]) => rows.map(({ text }) => text);

/** A manual discussion of people in which this was said. */
async function said(...contents: string[]): Promise<string> {
  const { id } = await quietDiscussion(on, { policy: { kind: 'manual' } });
  for (const content of contents) await post(id, content);
  return id;
}

test('a fork shows what it shares and what it says itself, page by page, both ways', async () => {
  // Revisions 0 to 2 open it, 3 to 6 are messages.
  const parent = await said('one', 'two', 'three', 'four');
  const { id, revision } = await fork(parent, { atRevision: 4, title: 'Otherwise' });
  assert.is(revision, 0);
  await post(id, 'other three');
  await post(parent, 'five');
  const shownFork = await seen(`/discussions/${id}`);
  const { forkedFrom } = shownFork;
  assert.equal([forkedFrom?.discussionId, forkedFrom?.revision], [parent, 4]);
  assert.match(forkedFrom?.prefixHash ?? '', /^[0-9a-f]{64}$/);
  assert.equal([shownFork['title'], Number(shownFork.messages), shownFork['status']], ['Otherwise', 3, 'open']);
  assert.is(shownFork.participants.length, 2);
  const whole = (await seen(`/discussions/${id}/messages`)).data;
  assert.equal(texts(whole), ['one', 'two', 'other three']);
  assert.equal(
    whole.map(({ discussionId }) => discussionId),
    [parent, parent, id],
  );
  for (const [backwards, wanted] of [
    [false, ['one', 'two', 'other three']],
    [true, ['other three', 'two', 'one']],
  ] as const) {
    const read: unknown[] = [];
    let cursor = '';
    do {
      const page = await seen(`/discussions/${id}/messages?limit=1&backwards=${backwards}${cursor}`);
      read.push(...texts(page.data));
      cursor = page.nextCursor === null ? '' : `&cursor=${page.nextCursor}`;
    } while (cursor !== '');
    assert.equal(read, wanted);
  }
  assert.equal(texts((await seen(`/discussions/${parent}/messages`)).data), ['one', 'two', 'three', 'four', 'five']);
  assert.is((await seen(`/discussions/${parent}`))['forkedFrom'], null);
  assert.equal(texts((await seen(`/discussions/${id}/messages?atRevision=0`)).data), ['one', 'two']);
});

test('turns and usage of a fork begin with those it shares; the turn that was open is cancelled in the fork only', async () => {
  const parent = (await talkingDiscussion(on, 3)).id;
  await shown(on, `/discussions/${parent}`, ({ status }) => status === 'concluded');
  const events = await logOf(on, parent);
  const claims = events.filter(({ type }) => type === 'TurnClaimed');
  const atRevision = Number(claims[1]?.['revision']);
  const before = (await seen(`/discussions/${parent}/turns`)).data;
  const { id } = await fork(parent, { atRevision, overrides: { limits: { maxTurns: 4 } } });
  await shown(on, `/discussions/${id}`, ({ status }) => status === 'concluded');
  const turns = (await seen(`/discussions/${id}/turns`)).data;
  assert.equal(
    turns.map(({ number, status, reason, discussionId }) => [number, status, reason, discussionId === parent]),
    [
      [1, 'completed', null, true],
      [2, 'cancelled', 'forked', false],
      ...[3, 4, 5].map((number) => [number, 'completed', null, false]),
    ],
  );
  assert.equal((await seen(`/discussions/${parent}/turns`)).data, before, 'the parent is as it was');
  const inherited = String(turns[0]?.['turnId']);
  const open = String(turns[1]?.['turnId']);
  const one = await seen(`/discussions/${id}/turns/${inherited}`);
  assert.equal([one['discussionId'], one['number']], [parent, 1]);
  assert.is((await seen(`/discussions/${id}/turns/${open}`))['status'], 'cancelled');
  assert.is((await seen(`/discussions/${parent}/turns/${open}`))['status'], 'completed');
  const later = String(before[2]?.['turnId']);
  expected(await on.get(`/discussions/${id}/turns/${later}`), 404, 'not-found');
  const shownFork = await seen(`/discussions/${id}`);
  const usage = await seen(`/discussions/${id}/usage`);
  const { inputTokens, outputTokens } = usage;
  assert.equal(shownFork.usage, { inputTokens, outputTokens });
  assert.equal([usage['attempts'], usage['reservedTokens']], [4, 0]);
  assert.equal([shownFork['turnsCompleted'], Number(shownFork.messages)], [4, 4]);
});

test('refused: past the end, malformed, not an agent, agents that cannot join, a deadline that has passed', async () => {
  const parent = await said('one');
  const head = await on.service.running.storage.store.head();
  const { participants } = await seen(`/discussions/${parent}`);
  const person = participants[0]?.participantId ?? '';
  const past = await fork(parent, { atRevision: 4 }, 409);
  assert.match(past.detail, /ends at revision 3/);
  for (const body of [
    {},
    { atRevision: -1 },
    { atRevision: 1.5 },
    { atRevision: 1, overrides: { policy: { kind: 'unheard of' } } },
    { atRevision: 1, overrides: { agents: { [person]: { version: 1 } } } },
    { atRevision: 3, overrides: { agents: { [person]: { agentId: await agentAt(on) } } } },
    { atRevision: 1, overrides: { limits: { deadline: '2001-01-01T00:00:00Z' } } },
    { atRevision: 1, overrides: { limits: { maxCostUsd: 1 } } },
    { atRevision: 1, projectId: 'other' },
  ])
    await fork(parent, body, 400);
  assert.ok((await on.service.running.storage.store.head()) <= head + 1n, 'nothing but an agent was written');
  expected(await on.post(`/discussions/${parent}/fork`, { atRevision: 1 }, { 'If-Match': '"r1"' }), 412);
  expected(await on.post(`/discussions/${parent}/fork`, { atRevision: 1 }, { 'If-Match': '"r3"' }), 201);
});

test('another version, or another agent, answers for a participant of the fork', async () => {
  const agentId = await agentAt(on);
  const other = await agentAt(on, { name: 'Bea' });
  expected(await on.call('PATCH', `/agents/${agentId}`, { body: { instructions: 'Be long.' } }), 200);
  const participants = [{ agentId, version: 1 }, { agentId }];
  const { id } = await quietDiscussion(on, { participants, policy: { kind: 'manual' } });
  const [first, second] = (await seen(`/discussions/${id}/participants`)).data;
  const agents = {
    [String(first?.['participantId'])]: { version: 2 },
    [String(second?.['participantId'])]: { agentId: other },
  };
  expected(await on.call('DELETE', `/agents/${agentId}`), 200);
  const forked = await fork(id, { atRevision: 2, overrides: { agents } });
  const rows = (await seen(`/discussions/${forked.id}/participants`)).data;
  assert.equal(
    rows.map((each) => [each['name'], each['agentId'], each['agentVersion']]),
    [
      ['Ada', agentId, 2],
      ['Ada 2', other, 1],
    ],
  );
  const swapped = {
    [String(second?.['participantId'])]: { agentId: await agentAt(on, { model: offline }), version: 9 },
  };
  await fork(id, { atRevision: 2, overrides: { agents: swapped } }, 400);
  const unchanged = await fork(id, { atRevision: 2 });
  const { differences } = await seen(`/discussions/${forked.id}/diff?with=${unchanged.id}`);
  assert.equal(
    differences.participants.map(({ here, there }) => [here.agentVersion, there.agentVersion]),
    [
      [2, 1],
      [1, 2],
    ],
  );
});

test('lineage and differences of a fork of a fork', async () => {
  const root = await said('one', 'two');
  const child = (await fork(root, { atRevision: 3, title: 'Child' })).id;
  await post(child, 'child two');
  const grandchild = (await fork(child, { atRevision: 1, title: 'Grandchild' })).id;
  await post(grandchild, 'grandchild three');
  const sibling = (await fork(root, { atRevision: 4, overrides: { limits: { maxTurns: 7 } } })).id;
  assert.equal(texts((await seen(`/discussions/${grandchild}/messages`)).data), [
    'one',
    'child two',
    'grandchild three',
  ]);
  const lineage = await seen(`/discussions/${child}/lineage`);
  assert.equal(lineage['ancestors'], [{ id: root, title: 'Tea', revision: 3 }]);
  assert.equal(lineage['children'], [{ id: grandchild, title: 'Grandchild', revision: 1 }]);
  const above = await seen(`/discussions/${grandchild}/lineage`);
  assert.equal(
    above.ancestors.map(({ title }) => title),
    ['Tea', 'Child'],
  );
  const first = await seen(`/discussions/${root}/lineage?limit=1`);
  const second = await seen(`/discussions/${root}/lineage?limit=1&cursor=${first.nextCursor}`);
  const idsOf = ({ children }: Seen) => children.map(({ id }) => id);
  assert.equal([...idsOf(first), ...idsOf(second), second.nextCursor], [child, sibling, null]);
  const diff = await seen(`/discussions/${grandchild}/diff?with=${sibling}`);
  assert.equal(diff.common, { discussionId: root, revision: 3, index: 3 });
  assert.equal(diff.differences.title, { here: 'Grandchild', there: 'Tea' });
  assert.is(diff.differences.policy, null);
  assert.equal([diff.differences.limits.here.maxTurns, diff.differences.limits.there.maxTurns], [50, 7]);
  assert.equal(
    [diff.messages.here.map(({ text }) => text), diff.messages.there.map(({ text }) => text)],
    [['child two', 'grandchild three'], ['two']],
  );
  const paged: string[][] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const page: Seen = await seen(`/discussions/${grandchild}/diff?with=${sibling}&limit=1${cursor}`);
    paged.push([...page.messages.here, ...page.messages.there].map(({ text }) => text));
    cursor = page.nextCursor === null ? null : `&cursor=${page.nextCursor}`;
  }
  assert.equal(paged.flat().sort(), ['child two', 'grandchild three', 'two']);
  const stranger = await said('one');
  expected(await on.get(`/discussions/${root}/diff?with=${stranger}`), 409, 'conflict');
  expected(await on.get(`/discussions/${root}/diff?with=${root}`), 400, 'invalid');
});

test('paused and concluded parents: the fork is open', async () => {
  const parent = await said('one');
  expected(await on.post(`/discussions/${parent}/pause`), 200);
  assert.is((await fork(parent, { atRevision: 4 }))['status'], 'open');
  expected(await on.post(`/discussions/${parent}/conclude`), 200);
  const forked = await fork(parent, { atRevision: 5 });
  assert.is(forked['status'], 'open');
  await post(forked.id, 'and on it goes');
});

test.run();
