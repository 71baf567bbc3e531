/** Starts a throw-away Weaviate that a test may kill, freeze, stop and start again on the same data and ports. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, openSync, closeSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const READY_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 15_000;
const ASK_MS = 2_000;
/** Beside its own: gRPC, profiling, and what nodes of a cluster talk over, also when it is alone. */
const OTHER_PORTS = [
  'GRPC_PORT',
  'CLUSTER_GOSSIP_BIND_PORT',
  'CLUSTER_DATA_BIND_PORT',
  'RAFT_PORT',
  'RAFT_INTERNAL_RPC_PORT',
  'GO_PROFILING_PORT',
] as const;

export interface WeaviateServer {
  readonly url: string;
  readonly origin: string;
  /** Kills it as a crash would. */
  kill(): Promise<void>;
  /** Ends it as an operator would, with SIGTERM. */
  end(): Promise<void>;
  /** Freezes it: connections stay open, nothing answers. */
  freeze(): void;
  thaw(): void;
  /** Starts it again on the same ports and what is left of its data; waits until it is ready unless told otherwise. */
  restart(options?: { wait?: boolean }): Promise<void>;
  /** Ends it and throws its data away. */
  stop(): Promise<void>;
}

/** The program on `searchPath`; null where there is none: only a machine with Go can build it. */
export function findWeaviateProgram(searchPath: string): { path: string; origin: string } | null {
  const folder = searchPath.split(delimiter).find((each) => existsSync(join(each, 'weaviate-server')));
  return folder === undefined ? null : { path: join(folder, 'weaviate-server'), origin: 'weaviate-server on PATH' };
}

/** A server of one node on free ports, with data of its own. @param settings in the place of ours, as its environment. */
export async function startWeaviateServer(
  { path, origin }: { path: string; origin: string },
  settings: Readonly<Record<string, string>> = {},
): Promise<WeaviateServer> {
  const home = await mkdtemp(join(tmpdir(), 'colloquy-weaviate-'));
  const { url, args, env: own } = await prepareWeaviate(join(home, 'data'));
  const env = { ...own, ...settings };
  let child: ChildProcess | null = null;
  const killAtExit = (): void => {
    child?.kill('SIGKILL');
    rmSync(home, { recursive: true, force: true, maxRetries: 3 });
  };
  const restart: WeaviateServer['restart'] = async ({ wait = true } = {}) => {
    const log = openSync(join(home, 'log'), 'a');
    child = spawn(path, [...args], { stdio: ['ignore', log, log], env });
    closeSync(log);
    if (!wait) return;
    await ready(child, url).catch(async (error: unknown) => {
      if (child !== null) await ended(child, 'SIGKILL');
      const last = readFileSync(join(home, 'log'), 'utf8').trim().split('\n').slice(-3).join(' | ');
      throw new Error(`${error instanceof Error ? error.message : String(error)} ${last}`);
    });
  };
  const stop = async (): Promise<void> => {
    if (child !== null) await ended(child, 'SIGKILL');
    process.off('exit', killAtExit);
    rmSync(home, { recursive: true, force: true, maxRetries: 3 });
  };
  process.once('exit', killAtExit);
  await restart().catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return {
    url,
    origin,
    async kill() {
      if (child !== null) await ended(child, 'SIGKILL');
    },
    async end() {
      if (child !== null) await ended(child, 'SIGTERM');
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    restart,
    stop,
  };
}

/** How a server of one node is started with data of its own, on ports that are free now. */
export async function prepareWeaviate(
  data: string,
): Promise<{ url: string; args: readonly string[]; env: Readonly<Record<string, string>> }> {
  mkdirSync(data);
  const [port = 0, ...others] = await freePorts(1 + OTHER_PORTS.length);
  const args = ['--scheme', 'http', '--host', '127.0.0.1', '--port', String(port)];
  return { url: `http://127.0.0.1:${port}`, args, env: environment(data, others) };
}

/** Whether it is ready. That it lives is not enough: while it starts, some of its answers are 200 and empty. */
export async function weaviateIsReady(url: string): Promise<boolean> {
  const asked = fetch(`${url}/v1/.well-known/ready`, { signal: AbortSignal.timeout(ASK_MS) });
  const answer = await asked.catch(() => null);
  await answer?.body?.cancel();
  return answer?.status === 200;
}

function environment(data: string, ports: readonly number[]): Record<string, string> {
  return {
    PERSISTENCE_DATA_PATH: data,
    AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED: 'true',
    AUTOSCHEMA_ENABLED: 'false',
    DEFAULT_VECTORIZER_MODULE: 'none',
    DISABLE_TELEMETRY: 'true',
    CLUSTER_HOSTNAME: 'node1',
    CLUSTER_ADVERTISE_ADDR: '127.0.0.1',
    CLUSTER_BIND_ADDR: '127.0.0.1',
    RAFT_BOOTSTRAP_EXPECT: '1',
    // Else a start takes 8 s and more instead of 3.
    RAFT_TIMEOUTS_MULTIPLIER: '1',
    LOG_LEVEL: 'warning',
    ...Object.fromEntries(OTHER_PORTS.map((name, i) => [name, String(ports[i] ?? 0)])),
  };
}

/** All at once, so that no port comes twice. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  return servers.map((server) => {
    const address = server.address();
    server.close();
    if (address === null || typeof address === 'string') throw new Error('no free port');
    return address.port;
  });
}

async function ready(child: ChildProcess, url: string): Promise<void> {
  let failed = '';
  child.once('error', (error) => (failed = error.message));
  child.once('exit', (code) => (failed = `weaviate-server ended with code ${code}`));
  for (const end = Date.now() + READY_DEADLINE_MS; Date.now() < end; await sleep(50)) {
    if (failed !== '') throw new Error(failed);
    if (await weaviateIsReady(url)) return;
  }
  throw new Error(`weaviate-server was not ready within ${READY_DEADLINE_MS} ms`);
}

async function ended(child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await Promise.race([exited, sleep(STOP_DEADLINE_MS, undefined, { ref: false })]);
}
