/** Memories of agents as clients see them: registered, revised, taken away, and what a turn recalled. */
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { startServiceForTests, type TestService } from './serviceForTests.ts';
import { agentAt, agentBody, expected } from './serviceScenes.ts';

const test = suite('memories of agents');
let on: TestService;

test.before(async () => void (on = await startServiceForTests()));
test.after(() => on.stop());

async function memoryOf(id: string, query = ''): Promise<unknown> {
  const headers = { 'Consistency-Token': `p${await on.service.running.storage.store.head()}` };
  return expected(await on.get(`/agents/${id}${query}`, { headers }), 200)['memory'];
}

const usual = { scope: 'discussion', k: 5, maxTokens: 600, minScore: 0.3 };

test('they are registered with their defaults, read at each version, revised and taken away', async () => {
  const id = await agentAt(on, { memory: { scope: 'discussion' } });
  assert.equal(await memoryOf(id), usual);
  const patch = async (body: object) => void expected(await on.call('PATCH', `/agents/${id}`, { body }), 200);
  await patch({ memory: { scope: 'project', k: 20, maxTokens: 50, minScore: -1 } });
  await patch({ instructions: 'Be kind.' });
  assert.equal(await memoryOf(id), { scope: 'project', k: 20, maxTokens: 50, minScore: -1 }, 'it stays');
  await patch({ memory: null });
  assert.is(await memoryOf(id), null);
  assert.equal(await memoryOf(id, '?version=1'), usual);
  assert.is(await memoryOf(await agentAt(on)), null, 'without any');
});

test('what is out of range or unknown is refused, and the place is named', async () => {
  const bad: [object, string][] = [
    [{ scope: 'everything' }, '/memory/scope'],
    [{}, '/memory/scope'],
    [{ scope: 'project', k: 0 }, '/memory/k'],
    [{ scope: 'project', k: 21 }, '/memory/k'],
    [{ scope: 'project', maxTokens: 49 }, '/memory/maxTokens'],
    [{ scope: 'project', maxTokens: 8001 }, '/memory/maxTokens'],
    [{ scope: 'project', minScore: 1.1 }, '/memory/minScore'],
    [{ scope: 'project', more: true }, '/memory'],
  ];
  for (const [memory, pointer] of bad) {
    const reply = await on.post('/agents', { ...agentBody, memory });
    assert.is(reply.status, 400, JSON.stringify(memory));
    assert.match(JSON.stringify(reply.body), pointer);
  }
  const external = { model: { provider: 'external', name: 'elsewhere' }, memory: { scope: 'project' } };
  const reply = await on.post('/agents', { ...agentBody, ...external });
  assert.match(JSON.stringify(expected(reply, 400, 'invalid')), '/memory');
});

test.run();
