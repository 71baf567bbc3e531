/** The prompt of every attempt, rendered again from the log, byte for byte (I9). */
import { createHash, randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import type { DiscussionEventData } from '../../domain/discussion/events.ts';
import type { NewEvent, RecordedEvent } from '../../domain/envelope.ts';
import { suite } from '../harness.ts';
import { startServiceForTests, type TestService } from './serviceForTests.ts';
import { agentAt, expected, quietDiscussion, shown, talkingDiscussion, turnIn, UNKNOWN } from './serviceScenes.ts';

const test = suite('prompts rendered again');
let on: TestService;
test.before(async () => {
  on = await startServiceForTests();
});
test.after(async () => {
  await on.stop();
});

type Claim = DiscussionEventData<'TurnClaimed'>;

/** Every claim of a discussion, in order. */
async function claimsOf(id: string): Promise<Claim[]> {
  const claims: Claim[] = [];
  for await (const { type, data } of on.service.running.storage.store.read(`discussion-${id}`))
    if (type === 'TurnClaimed') claims.push(data as Claim);
  return claims;
}

/** Another discussion with the events of one, as `change` has them; it leaves out those that become null. */
async function copyOf(id: string, change: (event: RecordedEvent) => Pick<NewEvent, 'type' | 'data'> | null) {
  const { store } = on.service.running.storage;
  const events: NewEvent[] = [];
  for await (const event of store.read(`discussion-${id}`)) {
    const changed = change(event);
    if (changed === null) continue;
    const { type, data } = changed;
    events.push({ id: randomUUID(), type, schemaVersion: event.schemaVersion, data, metadata: event.metadata });
  }
  const copy = randomUUID();
  await store.append(`discussion-${copy}`, events, -1);
  return copy;
}

/** Fails unless the attempt's prompt renders to the recorded hash. */
async function checkPrompt(id: string, { turnId, attempt, prompt }: Claim): Promise<Record<string, unknown>> {
  const body = expected(await on.get(`/discussions/${id}/turns/${turnId}/prompt?attempt=${attempt}`), 200);
  assert.equal([body['sha256'], body['recordedSha256'], body['matches']], [prompt.sha256, prompt.sha256, true]);
  assert.is(createHash('sha256').update(String(body['canonical'])).digest('hex'), prompt.sha256);
  const { renderer, model, parameters } = prompt;
  assert.equal(JSON.parse(String(body['canonical'])), { renderer, model, parameters, messages: body['messages'] });
  assert.equal([body['turnId'], body['attempt'], body['renderer']], [turnId, attempt, renderer]);
  return body;
}

test('the prompts of a whole discussion, with a document, people and somebody who leaves', async () => {
  const text = Array.from({ length: 200 }, (_, i) => `Section ${i}: what tea and coffee have to do with part ${i}.`);
  const discussion = await talkingDiscussion(on, 8, { autostart: false, context: { text: text.join('\n\n') } });
  const { id } = discussion;
  expected(await on.post(`/discussions/${id}/participants`, { agentId: await agentAt(on, { name: 'Cleo' }) }), 201);
  expected(await on.post(`/discussions/${id}/messages`, { content: 'And what of cocoa?' }), 201);
  expected(await on.post(`/discussions/${id}/resume`), 200);
  await shown(on, `/discussions/${id}`, (body) => Number(body['turnsCompleted']) >= 3);
  const { data } = expected(await on.get(`/discussions/${id}/participants`), 200);
  expected(await on.call('DELETE', `/discussions/${id}/participants/${String(data.at(-1)?.['participantId'])}`), 200);
  await shown(on, `/discussions/${id}`, (body) => body['status'] === 'concluded', 20_000);
  const claims = await claimsOf(id);
  assert.ok(claims.length >= 8, `${claims.length} attempts`);
  for (const claim of claims) await checkPrompt(id, claim);
  assert.match(JSON.stringify(await checkPrompt(id, claims.at(-1) as Claim)), 'And what of cocoa');
});

test('why its speaker was chosen stands with it, and the completed attempt is shown unless another one is named', async () => {
  const { id } = await talkingDiscussion(on, 2);
  await shown(on, `/discussions/${id}`, (body) => body['status'] === 'concluded');
  const [first] = await claimsOf(id);
  const body = expected(await on.get(`/discussions/${id}/turns/${first?.turnId}/prompt`), 200);
  assert.equal(body, await checkPrompt(id, first as Claim));
  const why = body['why'] as { policy: string; policyVersion: number; candidates: string[] };
  assert.equal([why.policy, why.policyVersion, why.candidates.length], ['round-robin', 1, 2]);
  assert.is(body['participantId'], why.candidates[0]);
});

test('attempts that failed have their prompts, and an agent that was revised since does not change them', async () => {
  // No such model is set up here: each attempt is claimed, and fails.
  const agentId = await agentAt(on, {
    model: { provider: 'openai', name: 'gpt' },
    fallbacks: [{ provider: 'anthropic', name: 'claude' }],
  });
  const { id } = await quietDiscussion(on, { participants: [{ agentId }] });
  await shown(on, `/discussions/${id}`, (body) => body['status'] === 'paused', 20_000);
  expected(await on.call('PATCH', `/agents/${agentId}`, { body: { instructions: 'Be somebody else.' } }), 200);
  const claims = await claimsOf(id);
  assert.ok(
    claims.some(({ attempt }) => attempt > 1),
    `${claims.length} attempts`,
  );
  for (const claim of claims) assert.match(JSON.stringify(await checkPrompt(id, claim)), 'Be brief.');
  const last = claims.findLast(({ turnId }) => turnId === claims[0]?.turnId);
  const { body } = await on.get(`/discussions/${id}/turns/${claims[0]?.turnId}/prompt`);
  assert.is(body['attempt'], last?.attempt, 'the last one of a turn that nobody completed');
});

test('where there is no prompt the answer says why', async () => {
  const people = await quietDiscussion(on);
  const turnId = turnIn(people);
  const refused = async (path: string, says: RegExp) =>
    assert.match(expected(await on.get(`/discussions/${path}`), 404, 'not-found').detail, says);
  await refused(`${people.id}/turns/${turnId}/prompt`, /for its participant to answer/);
  await refused(`${people.id}/turns/${UNKNOWN}/prompt`, /no such turn/);
  await refused(`${UNKNOWN}/turns/${turnId}/prompt`, /no such discussion/);
  const { id } = await talkingDiscussion(on, 1);
  await shown(on, `/discussions/${id}`, (body) => body['status'] === 'concluded');
  const [claim] = await claimsOf(id);
  await refused(`${id}/turns/${claim?.turnId}/prompt?attempt=9`, /no attempt 9/);
  expected(await on.get(`/discussions/${id}/turns/${claim?.turnId}/prompt?attempt=0`), 400, 'invalid');
  // Paused by the same batch: no worker may begin.
  const paused = await copyOf(id, (event) => {
    if (event.revision > 4) return null;
    return event.revision < 4 ? event : { type: 'DiscussionPaused', data: { reason: 'requested' } };
  });
  await refused(`${paused}/turns/${claim?.turnId}/prompt`, /no attempt at this turn has begun/);
});

test('a claim that was changed does not match, and a renderer of a newer program is refused', async () => {
  const { id } = await talkingDiscussion(on, 2);
  await shown(on, `/discussions/${id}`, (body) => body['status'] === 'concluded');
  const changed = async (change: (claim: Claim) => Claim['prompt']) => {
    const copy = await copyOf(id, ({ type, data }) => ({
      type,
      data: type === 'TurnClaimed' ? { ...(data as Claim), prompt: change(data as Claim) } : data,
    }));
    const [claim] = await claimsOf(copy);
    return on.get(`/discussions/${copy}/turns/${claim?.turnId}/prompt`);
  };
  const { body } = await changed(({ prompt }) => ({ ...prompt, messageChars: 1 }));
  assert.is(body['matches'], true, 'nothing was cut: nothing had been said');
  const other = expected(await changed(({ prompt }) => ({ ...prompt, parameters: { seed: 1 } })), 200);
  assert.equal([other['matches'], other['sha256'] === other['recordedSha256']], [false, false]);
  expected(await changed(({ prompt }) => ({ ...prompt, renderer: 'r99' })), 409, 'conflict');
});

test('what was recalled is read from the log, of any discussion of the project and of none elsewhere', async () => {
  const { id } = await talkingDiscussion(on, 2);
  await shown(on, `/discussions/${id}`, (body) => body['status'] === 'concluded');
  const other = await quietDiscussion(on);
  expected(await on.post(`/discussions/${other.id}/messages`, { content: 'The password is teapot, they say.' }), 201);
  const said: RecordedEvent[] = [];
  for await (const event of on.service.running.storage.store.read(`discussion-${other.id}`)) said.push(event);
  const { id: eventId = '', stream = '', revision = 0 } = said.find(({ type }) => type === 'MessagePosted') ?? {};
  const entry = { eventId, stream, revision, kind: 'message' as const, from: 4, to: 22, score: 0.5, author: 'Grace' };
  const recall = { scope: 'project' as const, model: 'builtin' };
  const claimed = async (more: Partial<Claim['prompt']>, elsewhere = {}) => {
    const copy = await copyOf(id, (event) => {
      const { type, metadata } = event;
      const data = event.data as Claim;
      if (type !== 'TurnClaimed') return event;
      const prompt = { ...data.prompt, retrieved: [{ ...entry, ...elsewhere }], recall, ...more };
      return { type, metadata, data: { ...data, prompt } };
    });
    const [claim] = await claimsOf(copy);
    return expected(await on.get(`/discussions/${copy}/turns/${claim?.turnId}/prompt`), 200);
  };
  const { sha256, ...first } = await claimed({});
  assert.equal([first['retrieved'], first['recall'], first['matches']], [[entry], recall, false]);
  const { content } = (first['messages'] as { content: string }[]).at(-1) ?? { content: '' };
  assert.match(content, /<<[0-9a-f]{16} recalled: Grace, earlier>>\npassword is teapot\n<<\//);
  const again = await claimed({ sha256: String(sha256) });
  assert.equal([again['sha256'], again['matches']], [sha256, true]);
  // Another event than the one that was recorded, as of another project, is not shown.
  const forged = await claimed({}, { eventId: UNKNOWN });
  assert.not.match(JSON.stringify(forged['messages']), 'teapot');
});

test.run();
