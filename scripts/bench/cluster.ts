/** `npm run bench -- --cluster`: turns a second over several processes, wake-ups, and how long a dead worker is missed. */
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { startCluster, type Cluster } from '../cluster/cluster.ts';
import type { LogServer } from '../cluster/servers.ts';
import { logFloor, wakeUpFloor } from './clusterFloors.ts';
import { createVisitor, type Visitor } from './clusterVisitor.ts';
import { cpuTimesMs } from './cpuTimes.ts';
import { atMost, percentile, type Measured, type Report } from './measure.ts';

const [APIS, WORKERS] = [2, 3];
/** The built-in model at a pace that no disk keeps up with: its turns cost their own computing only. */
const NO_PACE = '1000000';
/** Half a second a turn and more: what is measured is the way to the next one, not the machine's limit. */
const SLOW_PACE = '120';
/** As many as leave two processors, which eight processes share, with time to spare; six take four fifths of it. */
const HEALTHY = 2;
/** Cold code takes several times as long: a service that runs has run it before. */
const WARM = [20, 12] as const;
/** Discussions at once, and turns of each. */
const FULL = [
  [1, 300],
  [20, 60],
  [200, 10],
] as const;
const QUICK = [
  [1, 50],
  [20, 10],
  [200, 2],
] as const;

/** Rows about throughput on both logs, wake-ups, and takeovers. */
export async function clusterRows(report: Report, quick: boolean): Promise<void> {
  for (const log of ['eventstoredb', 'postgres'] as const) await throughputRows(report, log, quick);
  for (const log of ['eventstoredb', 'postgres'] as const) await healthyRows(report, log, quick);
}

/** 1, 20 and 200 discussions at once. */
async function throughputRows(report: Report, log: LogServer, quick: boolean): Promise<void> {
  const cluster = await open(NO_PACE, report, log);
  if (cluster === null) return;
  const of = titleOf(log);
  try {
    const bench = await createVisitor(cluster);
    await bench.hold(20, 10);
    for (const [discussions, turns] of quick ? QUICK : FULL)
      await report(`${of}: turns/s, ${discussions} discussion${discussions === 1 ? '' : 's'}`, () =>
        throughput(cluster, bench, discussions, turns),
      );
  } finally {
    await cluster.stop();
  }
}

function titleOf(log: LogServer): string {
  return log === 'postgres' ? 'log in PostgreSQL' : 'log in EventStoreDB';
}

async function throughput(cluster: Cluster, bench: Visitor, discussions: number, turns: number): Promise<Measured> {
  const before = await logFloor(cluster, discussions);
  const started = cpuTimesMs(cluster.processes());
  const held = await bench.hold(discussions, turns);
  const used = [...cpuTimesMs(cluster.processes())].map(([name, ms]) => [name, ms - (started.get(name) ?? 0)] as const);
  const floor = (before + (await logFloor(cluster, discussions))) / 2;
  const ours = held.turnsPerSecond;
  const perTurn = (group: RegExp) =>
    (used.filter(([name]) => group.test(name)).reduce((sum, [, ms]) => sum + ms, 0) / (discussions * turns)).toFixed(1);
  const log = cluster.servers.eventStore === '' ? '' : `, log ${perTurn(/^eventstoredb/)}`;
  const cpu = `workers ${perTurn(/^worker/)}, APIs ${perTurn(/^api/)}, PostgreSQL ${perTurn(/^postgres/)}, NATS ${perTurn(/^nats/)}${log}`;
  const claims = `requested to claimed p50 ${percentile(held.claimsMs, 50).toFixed(0)} ms`;
  return { unit: 'turns/s', ours, floor, ratio: ours / floor, note: `CPU ms a turn: ${cpu}; ${claims}` };
}

/** Rows about wake-ups and takeovers, with turns that take a second. */
async function healthyRows(report: Report, log: LogServer, quick: boolean): Promise<void> {
  const cluster = await open(SLOW_PACE, report, log);
  if (cluster === null) return;
  const of = titleOf(log);
  try {
    const bench = await createVisitor(cluster);
    await bench.hold(...WARM);
    let [claims, busy]: [number[], number] = [[], 0];
    const floors = await wakeUpFloor(cluster.servers.nats, 500);
    const row = (p: number, limit?: number): Measured => {
      const [ours, floor] = [percentile(claims, p), percentile(floors, p)];
      const target = limit === undefined ? {} : { target: atMost(limit, 'ms', ours) };
      const note = `${claims.length} turns, ${HEALTHY} discussions, processors ${Math.round(busy * 100)} % busy; floor: a message through JetStream; times of events are whole ms`;
      return { unit: 'ms', ours, floor, ratio: ours / floor, ...target, note };
    };
    await report(`${of}: turn requested to claimed, p50`, async () => {
      const [startedMs, before] = [performance.now(), cpuTimesMs(cluster.processes())];
      claims = (await bench.hold(HEALTHY, quick ? 30 : 90)).claimsMs;
      const used = [...cpuTimesMs(cluster.processes())].reduce(
        (sum, [name, ms]) => sum + ms - (before.get(name) ?? 0),
        0,
      );
      busy = used / (performance.now() - startedMs) / availableParallelism();
      return row(50);
    });
    await report(`${of}: turn requested to claimed, p99`, async () => row(99, 50));
    await report(`${of}: worker killed, others take over, p99`, () => takeover(cluster, bench, quick ? 1 : 3, false));
    await report(`${of}: worker killed and started again, p99`, () => takeover(cluster, bench, quick ? 2 : 6, true));
  } finally {
    await cluster.stop();
  }
}

async function open(pace: string, report: Report, log: LogServer = 'eventstoredb'): Promise<Cluster | null> {
  let cluster: Cluster | null = null;
  // What is measured are turns; a model that embeds what they say would take its share of the processors.
  const sized = { apis: APIS, workers: WORKERS, embedder: false };
  const env = { OFFLINE_TOKENS_PER_SECOND: pace, RATE_LIMIT_PER_MINUTE: '1000000', LOG_LEVEL: 'error' };
  try {
    cluster = await startCluster({ ...sized, log, env, onProgress: (line) => console.error(line) });
  } catch (error) {
    await report('cluster', () => Promise.reject(error instanceof Error ? error : new Error(String(error))));
  }
  return cluster;
}

/** From the kill to the claim that goes on, of each attempt that was under way. */
async function takeover(cluster: Cluster, bench: Visitor, kills: number, again: boolean): Promise<Measured> {
  const gaps: number[] = [];
  for (let i = 0; i < kills; i += 1) {
    const name = `worker-${(i % WORKERS) + 1}`;
    const ids = await bench.open(9, again ? 30 : 80);
    await delay(2_500);
    const killedAtMs = Date.now();
    const worker = cluster.process(name);
    worker.kill({ again });
    gaps.push(...(await bench.resumed(ids, name, killedAtMs)));
    if (!again) worker.revive();
    await worker.untilReady();
    await bench.conclude(ids);
  }
  const ours = percentile(gaps, 99);
  const note = `${gaps.length} attempts, ${kills} kills; p50 ${percentile(gaps, 50).toFixed(0)} ms; lease 15 s, sweep 5 s`;
  return { unit: 'ms', ours, floor: null, ratio: null, target: atMost(again ? 5_000 : 25_000, 'ms', ours), note };
}
