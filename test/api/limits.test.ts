/** The rate limit as the settings say, for each principal on its own. */
import * as assert from 'uvu/assert';
import { suite } from '../harness.ts';
import { logHead, startServiceForTests, type TestService } from './serviceForTests.ts';
import { agentBody, expected } from './serviceScenes.ts';

const test = suite('limits of the service');
const PER_MINUTE = 20;
let on: TestService;

test.before(async () => {
  on = await startServiceForTests({ RATE_LIMIT_PER_MINUTE: String(PER_MINUTE) });
});
test.after(async () => {
  await on.stop();
});

test('too many requests of one are refused, nothing is written, others go on', async () => {
  const first = await on.get('/auth/me');
  assert.match(first.headers.get('ratelimit-policy') ?? '', /q=20; w=60/);
  assert.match(first.headers.get('ratelimit') ?? '', /r=19/);
  for (let i = 1; i < PER_MINUTE; i += 1) expected(await on.get('/auth/me'), 200);
  const before = await logHead(on);
  const refused = await on.post('/agents', agentBody);
  assert.is(expected(refused, 429, 'rate-limited')['retryable'], true);
  assert.match(refused.headers.get('retry-after') ?? '', /^\d+$/);
  assert.is(await logHead(on), before);
  const token = await on.mint({ kind: 'user', id: 'grace', grants: [{ project: 'default', role: 'administrator' }] });
  expected(await on.call('POST', '/agents', { body: agentBody, token }), 201);
  for (let i = 0; i < 2 * PER_MINUTE; i += 1) expected(await on.get('//health/live', { token: null }), 200);
});

test.run();
