/** What /metrics of a running service tells, and whom. */
import * as assert from 'uvu/assert';
import { metrics } from '../../domain/telemetry.ts';
import { tellChanges } from '../../scripts/health.ts';
import { suite } from '../harness.ts';
import { problemIn, startApi } from './apiForTests.ts';
import { startServiceForTests, type TestService } from './serviceForTests.ts';

const TOKEN = 'metrics-token-of-the-tests-0123456789';
/** Shown only where it happens: by auditors, where backups are made, by circuits that were open, with limits. */
const NOT_ALWAYS = ['audit_', 'backup_', 'model_circuit_open', 'model_places_waiting_total', 'authz_denied_total'];

const test = suite('metrics');
let on: TestService;
test.before(async () => void (on = await startServiceForTests({ METRICS_TOKEN: TOKEN })));
test.after(() => on.stop());

function scrape(bearer: string | null, path = '/metrics'): Promise<Response> {
  return fetch(on.url + path, { headers: bearer === null ? {} : { Authorization: `Bearer ${bearer}` } });
}

test(
  'after some traffic everything that is promised has a value',
  async () => {
    const model = { provider: 'offline', name: 'offline', parameters: { num_predict: 20 } };
    const agents = ['A', 'B'].map((name) => on.post('/agents', { name, instructions: 'Speak.', model }));
    const participants = (await Promise.all(agents)).map(({ body }) => ({ agentId: body.id }));
    const opened = await on.post('/discussions', { title: 'T', topic: 'What?', participants, limits: { maxTurns: 1 } });
    const stream = await fetch(`${on.url}/api/v1/discussions/${opened.body.id}/stream`, {
      headers: { Authorization: `Bearer ${on.service.token}` },
      signal: AbortSignal.timeout(9_000),
    });
    assert.match(await stream.text(), /event: end/, 'the discussion has ended');
    assert.is((await on.get('/agents', { token: 'nobody' })).status, 401);
    const text = await (await scrape(TOKEN)).text();
    const valued = new Set([...text.matchAll(/^([a-z_]+)(?:\{.*\})? \S+$/gm)].map(([, name = '']) => name));
    const missing = Object.entries(metrics).filter(
      ([name, { kind }]) => !valued.has(kind === 'histogram' ? `${name}_count` : name),
    );
    const expected = missing.map(([name]) => name).filter((name) => !NOT_ALWAYS.some((each) => name.startsWith(each)));
    assert.equal(expected, []);
    assert.match(text, /^eventlog_append_duration_seconds_count\{outcome="unknown"\} 0$/m, 'shown before it happens');
    assert.match(text, /^auth_failures_total 1$/m);
    assert.match(text, /^turns_open 0$/m);
    assert.match(text, /^service_ready 1$/m);
  },
  { deadlineMs: 20_000 },
);

test('its token opens the metrics and nothing else; a token of the service still does', async () => {
  assert.is((await scrape(TOKEN)).status, 200);
  assert.is((await scrape(on.service.token)).status, 200);
  for (const wrong of [null, TOKEN.slice(1), `${TOKEN}x`, '']) assert.is((await scrape(wrong)).status, 401, `${wrong}`);
  for (const path of ['/api/v1/agents', '/api/v1/projections', '/api/v1/discussions'])
    assert.is((await scrape(TOKEN, path)).status, 401, path);
});

test('a probe of a process that is not ready is no error, and told once', async () => {
  const health = { live: () => true, ready: async () => ({ ready, checks: { log: { ok: ready } } }) };
  const told: string[] = [];
  const tell = (_fields: unknown, message: string) => void told.push(message);
  let ready = true;
  const api = await startApi({ health: tellChanges(health, { info: tell, warn: tell }) });
  try {
    for (const now of [true, false, false, true]) {
      ready = now;
      const answer = await fetch(`${api.url}/health/ready`);
      if (now) assert.is(answer.status, 200);
      else await problemIn(answer, 503, 'unavailable');
    }
    assert.equal(told, ['not ready', 'the process is ready']);
    assert.equal(api.log, [], 'no line for a probe');
    assert.not.match(await api.registry.metrics(), /^http_server_errors_total [1-9]/m, 'and no error of the server');
  } finally {
    await api.drain();
  }
});

test.run();
