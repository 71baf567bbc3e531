/** What a collector is told: one trace from a request to the model call in another process, the metrics, and never what was said. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { metrics as declared } from '../../domain/telemetry.ts';
import { readSettings } from '../../infra/config.ts';
import { createPrometheus } from '../../infra/prometheus.ts';
import { openTelemetry } from '../../scripts/telemetry.ts';
import { suite } from '../harness.ts';
import { environmentWith, natsForTests, postgresForTests, type TestDatabase, type TestNats } from '../services.ts';
import { type CollectedSpan, startCollector, type Collector } from '../standins/collector.ts';

const READY_WITHIN_MS = 60_000;
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLER = '00f067aa0ba902b7';
const SAID = 'Zanzibar';

const test = suite('export of telemetry');
let database: TestDatabase;
let nats: TestNats;
let collector: Collector;
let dataDir = '';
const children: ChildProcess[] = [];

test.before(async () => {
  [database, nats, collector] = await Promise.all([postgresForTests(), natsForTests(), startCollector()]);
  dataDir = await mkdtemp(join(tmpdir(), 'colloquy-telemetry-'));
});
test.after(async () => {
  for (const child of children) if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit');
  await collector.stop();
  await database.stop();
  await nats.stop();
  await rm(dataDir, { recursive: true, force: true });
});

/** One of the service's processes. @returns what it has told, once it is ready. */
async function startPart(mode: 'api' | 'worker'): Promise<{ child: ChildProcess; told: string }> {
  const child = spawn(process.execPath, ['scripts/colloquy.mjs', mode], {
    cwd: join(import.meta.dirname, '../..'),
    env: environmentWith({
      PORT: '0',
      COLLOQUY_DATA: dataDir,
      DATABASE_URL: database.url,
      NATS_URL: nats.url,
      OLLAMA_URL: 'http://127.0.0.1:9',
      WORKER_ID: `the-${mode}`,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_BSP_SCHEDULE_DELAY: '100',
      OTEL_METRIC_EXPORT_INTERVAL: '500',
      OTEL_METRIC_EXPORT_TIMEOUT: '400',
    }),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  children.push(child);
  let told = '';
  await new Promise<void>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${mode} is not ready: ${told}`)), READY_WITHIN_MS);
    child.once('exit', () => reject(new Error(`${mode} ended: ${told}`)));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      told += text;
      if (!/is ready after/.test(told) || !/\/health|\/docs/.test(told)) return;
      clearTimeout(late);
      resolve();
    });
  });
  return { child, told };
}

interface Caller {
  post(path: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<{ id: string }>;
}

async function callerOf(told: string): Promise<Caller> {
  const url = /API +(\S+)/.exec(told)?.[1] ?? '';
  const { token } = JSON.parse(await readFile(join(dataDir, 'credentials.json'), 'utf8')) as { token: string };
  return {
    async post(path, body, headers = {}) {
      const answer = await fetch(url + path, {
        method: 'POST',
        headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', ...headers },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(10_000),
      });
      assert.is(answer.status, 201, path);
      return (await answer.json()) as { id: string };
    },
  };
}

async function openTalk(caller: Caller, headers: Readonly<Record<string, string>> = {}): Promise<void> {
  const agents = ['Ada', 'Basil'].map((name) =>
    caller.post('/agents', {
      name: `${name} of ${SAID}`,
      instructions: `You speak of ${SAID}.`,
      model: { provider: 'offline', name: 'offline', parameters: { num_predict: 40, seed: 7 } },
    }),
  );
  const participants = (await Promise.all(agents)).map(({ id }) => ({ agentId: id }));
  const body = { title: SAID, topic: `What of ${SAID}?`, participants, limits: { maxTurns: 2 } };
  await caller.post('/discussions', body, headers);
}

test(
  'a request, its command, the turn in another process and its model call are one trace; a collector that hangs holds nothing up',
  async () => {
    const [api, worker] = await Promise.all([startPart('api'), startPart('worker')]);
    const caller = await callerOf(api.told);
    await openTalk(caller, { traceparent: `00-${TRACE}-${CALLER}-01` });
    const ofTrace = (name: string) => collector.spans.filter((each) => each.name === name && each.traceId === TRACE);
    await collector.until(() => ofTrace('chat offline').length === 2 && ofTrace('invoke_agent').length === 2);
    await collector.until(() => ofTrace('project').length > 0 && ofTrace('POST /api/v1/discussions').length > 0);

    const byId = new Map(collector.spans.map((each) => [each.spanId, each]));
    const chain = (span: CollectedSpan | undefined): string[] =>
      span === undefined ? [] : [span.name, ...chain(byId.get(span.parentSpanId))];
    const [request] = ofTrace('POST /api/v1/discussions');
    assert.is(request?.parentSpanId, CALLER, 'the caller is continued');
    const [first] = ofTrace('chat offline');
    assert.equal(chain(first), ['chat offline', 'invoke_agent', 'command discussion', 'POST /api/v1/discussions']);
    assert.not.equal(first?.instance, request?.instance, 'by two processes');
    assert.is(chain(ofTrace('append')[0]).at(-1), 'POST /api/v1/discussions', 'appends belong to it');
    const { attributes = {} } = first ?? {};
    assert.is(attributes['gen_ai.operation.name'], 'chat');
    assert.is(attributes['gen_ai.provider.name'], 'offline');
    assert.ok(Number(attributes['gen_ai.usage.output_tokens']) > 0);

    const names = [
      'eventlog_append_duration_seconds',
      'turn_attempts_total',
      'service_ready',
      'projection_lag_seconds',
    ];
    await collector.until(() => names.every((name) => collector.metrics.has(name)));
    assert.equal(
      [...collector.metrics].filter((name) => !(name in declared)),
      [],
      'only what the table names',
    );
    assert.not.match(collector.text(), new RegExp(SAID), 'nothing that was said, no title, no name');

    collector.hang();
    await openTalk(caller);
    const endedMs = await Promise.all([api, worker].map(({ child }) => ended(child)));
    assert.ok(Math.max(...endedMs) < 20_000, `ended after ${endedMs.join(' and ')} ms`);
    assert.equal([api.child.exitCode, worker.child.exitCode], [0, 0]);
  },
  { deadlineMs: 120_000 },
);

test('without a collector nothing of the SDK is loaded, and a context is passed on as it came', async () => {
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const off = await openTelemetry(readSettings({}, {}), createPrometheus(), log);
  const parent = `00-${TRACE}-${CALLER}-01`;
  assert.is(off.tracer.begin('anything', { parent }).traceparent, parent);
  assert.is(off.tracer.begin('anything').traceparent, undefined);
  const loaded = Object.keys(createRequire(import.meta.url).cache);
  // prom-client brings the API, which is small.
  const sdk = loaded.filter((path) => /@opentelemetry.(?!api)/.test(path));
  assert.equal([loaded.length > 0, sdk], [true, []]);
  await off.close();
});

async function ended(child: ChildProcess): Promise<number> {
  const startedMs = performance.now();
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
  return Math.round(performance.now() - startedMs);
}

test.run();
