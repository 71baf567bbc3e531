/** `npm run cluster -- --json` as a process of its own, as anyone would run it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { environmentWith } from '../services.ts';

interface Named {
  readonly name: string;
  readonly pid: number;
}

export interface ClusterProcess {
  readonly apis: readonly string[];
  readonly token: string;
  /** As of now. */
  pidOf(name: string): number;
  names(): string[];
  /** Kills it as the kernel would, and waits until the cluster has started it again. */
  kill(name: string): Promise<void>;
  /** Ends the cluster. @returns its exit code. */
  stop(): Promise<number | null>;
  /** What it wrote to stderr. */
  errors(): string;
}

const STARTED_WITHIN_MS = 120_000;
const AGAIN_WITHIN_MS = 30_000;

/** @param env settings of the processes under it. Rejects when it does not start. */
export async function startClusterProcess(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ClusterProcess> {
  const root = join(import.meta.dirname, '..', '..');
  const child = spawn(process.execPath, ['--import', 'tsx', 'scripts/cluster.ts', '--json', ...args], {
    cwd: root,
    env: environmentWith({ LOG_LEVEL: 'warn', ...env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (stderr = (stderr + text).slice(-20_000)));
  const pids = new Map<string, number>();
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([
    once(lines, 'line').then(([line]) => String(line)),
    once(child, 'exit').then(() => null),
    delay(STARTED_WITHIN_MS, null, { ref: false }),
  ]);
  if (first === null) {
    child.kill('SIGTERM');
    throw new Error(`the cluster did not start: ${stderr}`);
  }
  const { apis, token, processes } = JSON.parse(first) as { apis: string[]; token: string; processes: Named[] };
  for (const { name, pid } of processes) pids.set(name, pid);
  lines.on('line', (line) => {
    const { started } = JSON.parse(line) as { started?: Named };
    if (started !== undefined) pids.set(started.name, started.pid);
  });
  const pidOf = (name: string): number => {
    const pid = pids.get(name);
    if (pid === undefined) throw new Error(`there is no ${name} in the cluster`);
    return pid;
  };
  return {
    apis,
    token,
    pidOf,
    names: () => [...pids.keys()],
    async kill(name) {
      const before = pidOf(name);
      process.kill(before, 'SIGKILL');
      for (const start = performance.now(); pidOf(name) === before; await delay(20))
        if (performance.now() - start > AGAIN_WITHIN_MS) throw new Error(`${name} was not started again: ${stderr}`);
    },
    stop: () => ended(child),
    errors: () => stderr,
  };
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
  return child.exitCode;
}
