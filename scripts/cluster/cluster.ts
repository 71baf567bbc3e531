/** A cluster on one machine: real servers and processes of ours, each of which may be killed at any time. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { apiPlan, workerPlan } from './processes.ts';
import { serverPlans, type LogServer } from './servers.ts';
import { supervise, type ProcessPlan, type Supervised } from './supervise.ts';

export interface ClusterOptions {
  readonly apis: number;
  readonly workers: number;
  /** EventStoreDB unless said. */
  readonly log?: LogServer;
  /** Whether what is said is embedded, with Weaviate and Ollama where their programs are on PATH; true unless said. */
  readonly embedder?: boolean;
  /** Of every API and worker process, beside the addresses of the servers. */
  readonly env?: Readonly<Record<string, string>>;
  /** Told when something died or was started again. */
  readonly onChange?: (name: string, what: 'died' | 'started', pid: number) => void;
  /** Told before each part is started. */
  readonly onProgress?: (line: string) => void;
}

export interface Cluster {
  readonly apis: readonly string[];
  /** The administrator's. */
  readonly token: string;
  /** What runs now, servers included; a pid changes when a process dies and is started again. */
  processes(): { name: string; pid: number }[];
  /** Addresses that tests and benchmarks need beside the API's. */
  readonly servers: Readonly<Record<'database' | 'nats' | 'eventStore' | 'weaviate', string>>;
  /** Health and metrics of the workers. */
  readonly workerUrls: readonly string[];
  /** @throws Error when there is none of that name. */
  process(name: string): Supervised;
  /** Ends our processes first, then the servers, and removes the data. */
  stop(): Promise<void>;
}

/** Starts everything, and resolves when all of it is ready. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { onProgress = () => undefined, onChange = () => undefined } = options;
  const home = await mkdtemp(join(tmpdir(), 'colloquy-cluster-'));
  await mkdir(join(home, 'logs'));
  const running: Supervised[] = [];
  const cleanUp: (() => Promise<void>)[] = [() => rm(home, { recursive: true, force: true, maxRetries: 3 })];
  const stop = async () => {
    // In reverse: a worker that drains needs its servers.
    for (const group of [/^(api|worker)-/, /./])
      await Promise.all(running.filter(({ name }) => group.test(name)).map((each) => each.stop()));
    for (const clean of cleanUp) await clean();
  };
  const startAll = async (plans: readonly ProcessPlan[]) => {
    const started = plans.map((plan) => supervise(plan, (what, pid) => onChange(plan.name, what, pid)));
    running.push(...started);
    await Promise.all(started.map((each) => each.untilReady()));
  };
  try {
    const { embedder = true } = options;
    const servers = await serverPlans(home, options.log ?? 'eventstoredb', embedder);
    cleanUp.push(...servers.cleanUp);
    for (const note of servers.notes) onProgress(note);
    await startAll(servers.plans);
    onProgress('servers are ready; starting our processes …');
    const env = { ...servers.env, ...options.env };
    const apis = await Promise.all(times(options.apis, (n) => apiPlan(n, home, env)));
    const workers = await Promise.all(times(options.workers, (n) => workerPlan(n, home, env, embedder)));
    await startAll([...apis, ...workers].map(({ plan }) => plan));
    return {
      apis: apis.map(({ url }) => url),
      token: await servers.token(),
      processes: () => running.map((each) => ({ name: each.name, pid: each.pid() })),
      servers: servers.addresses,
      workerUrls: workers.map(({ url }) => url),
      process(name) {
        const found = running.find((each) => each.name === name);
        if (found === undefined) throw new Error(`there is no ${name} in the cluster`);
        return found;
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function times<T>(count: number, make: (n: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i + 1));
}
