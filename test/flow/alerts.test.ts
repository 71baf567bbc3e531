/** The fault behind each alert is brought about in the running service: its alert fires then, and did not before. */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Response } from 'express';
import type { PoolClient } from 'pg';
import * as assert from 'uvu/assert';
import { openSse } from '../../api/sse.ts';
import { ModelFailure } from '../../domain/model.ts';
import { NO_STREAM } from '../../domain/ports.ts';
import { readAlerts } from '../deploy/alertRules.ts';
import { suite } from '../harness.ts';
import { wallClock } from '../standins/wallClock.ts';
import { POOL, startAlertScene, type AlertScene, type Scrape } from './alertScene.ts';
import { auditTooSlow, noBackup, tamper } from './recordFaults.ts';
import { type Occurrence, problemsOf, promtoolProblems, promtoolVersion } from './alertsFired.ts';

const HOUR_MS = 3_600_000;
const alerts = readAlerts();

const test = suite('alerts');
let on: AlertScene;
test.before(async () => void (on = await startAlertScene()));
test.after(() => on.stop());

interface Fault {
  readonly alerts: readonly string[];
  /** @returns what Prometheus sees then. */
  bring(): Promise<Scrape>;
  heal?(): Promise<void> | void;
}

const held: PoolClient[] = [];

const faults: Readonly<Record<string, Fault>> = {
  'no wake-up reaches a turn': {
    alerts: ['ColloquyWakePathBroken'],
    async bring() {
      on.models.script('talks', () => [{ say: 'I agree.' }]);
      await on.talk('talks');
      return on.scrapeUntil((seen) => (seen.get('sweeper_recovered_total{kind="turn"}') ?? 0) > 0);
    },
  },
  'a model does not answer': {
    alerts: ['ColloquyOldTurn'],
    async bring() {
      on.models.script('stalls', () => [{ stall: true }]);
      await on.talk('stalls');
      await on.scrapeUntil((seen) => (seen.get('turns_running{}') ?? 0) > 0);
      on.faults.aheadMs = HOUR_MS;
      return on.scrapeUntil((seen) => (seen.get('turn_oldest_open_seconds{}') ?? 0) > 900);
    },
    heal: () => void (on.faults.aheadMs = 0),
  },
  'a model fails again and again': {
    alerts: ['ColloquyCircuitOpen'],
    async bring() {
      on.models.script('fails', () => [{ fail: new ModelFailure('error', 'broken') }]);
      await Promise.all([on.talk('fails'), on.talk('fails')]);
      return on.scrapeUntil((seen) => seen.get('model_circuit_open{provider="offline"}') === 1);
    },
  },
  'the read models cannot be written': {
    alerts: ['ColloquyProjectionLag'],
    async bring() {
      const client = await on.storage.database.pool.connect();
      held.push(client);
      await client.query('begin; lock table projections in exclusive mode');
      await on.talk('talks');
      on.faults.aheadMs = HOUR_MS;
      return on.scrapeUntil((seen) => (seen.get('projection_lag_seconds{projection="turns"}') ?? 0) > 60);
    },
    async heal() {
      on.faults.aheadMs = 0;
      const client = held.pop();
      await client?.query('rollback');
      client?.release();
    },
  },
  'a read model meets an event it cannot take': {
    alerts: ['ColloquyDeadLetters'],
    async bring() {
      const metadata = {
        actor: { kind: 'system' as const, id: 'test' },
        project: 'default',
        occurredAt: new Date().toISOString(),
        commandId: randomUUID(),
        correlationId: randomUUID(),
      };
      const profile = { name: 'A', instructions: 'Speak.', model: { provider: 'offline', name: 'talks' } };
      const data = { version: 2, profile };
      const event = { id: randomUUID(), type: 'AgentRevised', schemaVersion: 1, data, metadata };
      await on.storage.store.append(`agent-${randomUUID()}`, [event], NO_STREAM);
      return on.scrapeUntil((seen) => (seen.get('dead_letters{}') ?? 0) > 0);
    },
  },
  'the log takes nothing': {
    alerts: ['ColloquyAppendErrors', 'ColloquyServerErrors'],
    async bring() {
      on.faults.logAway = true;
      for (let n = 0; n < 20; n += 1) assert.is((await on.call('POST', '/agents', anAgent)).status, 503);
      return on.scrape();
    },
    heal: () => void (on.faults.logAway = false),
  },
  'somebody guesses tokens': {
    alerts: ['ColloquyAuthFailures'],
    async bring() {
      for (let n = 0; n < 120; n += 1)
        assert.is((await on.call('GET', '/agents', undefined, `guess-${n}`)).status, 401);
      return on.scrape();
    },
  },
  'all connections to the database are in use': {
    alerts: ['ColloquyPoolWaiting', 'ColloquyNotReady'],
    async bring() {
      const { pool } = on.storage.database;
      held.push(...(await Promise.all(Array.from({ length: POOL }, () => pool.connect()))));
      pool.query('select 1').catch(() => undefined);
      return on.scrapeUntil((seen) => seen.get('service_ready{}') === 0);
    },
    async heal() {
      for (const client of held.splice(0)) client.release();
      await on.scrapeUntil((seen) => seen.get('service_ready{}') === 1);
    },
  },
  'readers of streams take nothing': { alerts: ['ColloquyStreamsDropped'], bring: stall },
  'no checkpoint is signed': { alerts: ['ColloquyAuditCheckpointOld'], bring: () => auditTooSlow(on) },
  'no backup is made': { alerts: ['ColloquyBackupOld'], bring: () => noBackup(on) },
  'an event was changed in the database': { alerts: ['ColloquyAuditMismatch'], bring: () => tamper(on) },
  'the process is gone': {
    alerts: ['ColloquyInstanceDown', 'ColloquyAuditMissing'],
    async bring() {
      await on.service.stop();
      return on.scrape();
    },
  },
};
const anAgent = { name: 'A', instructions: 'Speak.', model: { provider: 'offline', name: 'talks' } };

/** Twelve clients that never read, on a clock by which the twenty seconds of their patience are short. */
async function stall(): Promise<Scrape> {
  const clock = {
    ...wallClock,
    monotonic: () => performance.now() * 100,
    sleep: (ms: number, signal?: AbortSignal) => delay(ms / 100, undefined, { signal }).catch(() => undefined),
  };
  const server = createServer((_req, res) => {
    const dropped = () => on.prometheus.telemetry.count('sse_dropped_total', { what: 'connection' });
    openSse(res as Response, clock, dropped).send(`data: ${'x'.repeat(8_000_000)}\n\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const clients = Array.from({ length: 12 }, () => {
    const client = connect(port, '127.0.0.1')
      .pause()
      .on('error', () => undefined);
    client.write('GET / HTTP/1.1\r\nHost: here\r\n\r\n');
    return client;
  });
  const seen = await on.scrapeUntil((each) => (each.get('sse_dropped_total{what="connection"}') ?? 0) > 10);
  for (const client of clients) client.destroy();
  server.close();
  return seen;
}

test(
  'every alert fires by its fault, and only then',
  async () => {
    const occurrences: Occurrence[] = [];
    for (const [name, fault] of Object.entries(faults)) {
      const before = await on.scrape();
      const startedMs = performance.now();
      const after = await fault.bring();
      for (const each of fault.alerts) {
        const alert = alerts.find((one) => one.alert === each);
        assert.ok(alert, each);
        occurrences.push({ alert, before, after });
      }
      await fault.heal?.();
      console.log(`${name}: ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
    }
    assert.equal(occurrences.flatMap(problemsOf), []);
    const promtool = await promtoolVersion();
    if (promtool === null)
      console.log('left out: promtool: it is not on the PATH, the evaluator of the tests was used');
    else assert.is(await promtoolProblems(occurrences), '');
    console.log(`evaluated by ours${promtool === null ? '' : ` and by promtool ${promtool}`}`);
    const brought = new Set(occurrences.map(({ alert }) => alert.alert));
    assert.equal(
      alerts.map(({ alert }) => alert).filter((alert) => !brought.has(alert)),
      [],
      'no alert without its fault',
    );
  },
  { deadlineMs: 90_000 },
);

test.run();
