/** Fall-backs as clients see them: of an agent, and of the attempts that used one. */
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { startServiceForTests, type TestService } from './serviceForTests.ts';
import { agentAt, agentBody, expected, offline, quietDiscussion, shown } from './serviceScenes.ts';

const test = suite('fall-backs of agents');
let on: TestService;

test.before(async () => void (on = await startServiceForTests()));
test.after(() => on.stop());

const away = { provider: 'ollama', name: 'away' };

async function readAgent(id: string, query = ''): Promise<unknown[]> {
  const headers = { 'Consistency-Token': `p${await on.service.running.storage.store.head()}` };
  const { model, fallbacks } = expected(await on.get(`/agents/${id}${query}`, { headers }), 200);
  return [model, fallbacks];
}

test('they are registered, read at each version, revised and taken away', async () => {
  const id = await agentAt(on, { model: away, fallbacks: [offline] });
  assert.equal(await readAgent(id), [away, [offline]]);
  const patch = (body: object) => on.call('PATCH', `/agents/${id}`, { body });
  expected(await patch({ fallbacks: [] }), 200);
  assert.equal(await readAgent(id), [away, []]);
  assert.equal(await readAgent(id, '?version=1'), [away, [offline]]);
  assert.equal(await readAgent(await agentAt(on)), [offline, []], 'without any');
});

test('what does not go together is refused, and the place is named', async () => {
  const pointers = async (body: object) => {
    const reply = await on.post('/agents', { ...agentBody, ...body });
    assert.ok(reply.status === 400 || reply.status === 422, JSON.stringify(reply.body));
    return JSON.stringify(reply.body['errors'] ?? reply.body);
  };
  assert.match(await pointers({ fallbacks: [offline] }), '/fallbacks');
  assert.match(await pointers({ fallbacks: [away, away] }), '/fallbacks');
  assert.match(await pointers({ fallbacks: [{ provider: 'external', name: 'elsewhere' }] }), '/fallbacks/0/provider');
});

test('a turn whose provider is away is answered by the fall-back, and shows who was asked and why', async () => {
  const agentId = await agentAt(on, { model: away, fallbacks: [offline] });
  const { id } = await quietDiscussion(on, { participants: [{ agentId }], limits: { maxTurns: 1 } });
  const { data } = await shown(on, `/discussions/${id}/turns`, (body) => body.data[0]?.['status'] === 'completed');
  const [turn] = data;
  const attempts = turn?.['attempts'] as { model: unknown; fallback: unknown; reason: string }[];
  assert.equal(
    attempts.map(({ model, fallback, reason }) => [model, fallback, reason]),
    [
      [away, null, 'error'],
      [offline, { index: 1, reason: 'failed' }, 'end_turn'],
    ],
  );
  assert.equal(turn?.['model'], offline);
});

test.run();
