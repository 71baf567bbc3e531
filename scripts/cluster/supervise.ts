/** Keeps real processes running: starts again at once what dies, until it is told to stop. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

/** How to run one process, the same way each time: address and data stay. */
export interface ProcessPlan {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly uid?: number;
  readonly gid?: number;
  /** Gets what it says, on both streams. */
  readonly logFile: string;
  /** Whether it serves now. */
  ready(): Promise<boolean>;
  /** How it ends cleanly. */
  readonly stopSignal: NodeJS.Signals;
}

export interface Supervised {
  readonly name: string;
  /** Of the process itself; another one after it died and was started again. */
  pid(): number;
  /** Resolves when it serves. @throws Error when it does not in time, or was stopped. */
  untilReady(): Promise<void>;
  /** Kills it as the kernel would; with `again: false` it stays dead until `revive`. */
  kill(options: { again: boolean }): void;
  revive(): void;
  /** Ends it, and does not start it again; kills it when it takes longer than 30 s. */
  stop(): Promise<void>;
}

const READY_MS = 60_000;
const LOOK_MS = 50;
const STOP_MS = 30_000;
/** Pause before a start that follows a death; longer when it keeps dying. */
const AGAIN_MS = { first: 100, longest: 5_000 };
/** Who has lived this long had no trouble with its start. */
const SETTLED_MS = 10_000;

/** Starts the process. @param told of each death and each start that followed. */
export function supervise(plan: ProcessPlan, told: (what: 'died' | 'started', pid: number) => void): Supervised {
  let stopping = false;
  let pauseMs = AGAIN_MS.first;
  let revived = Promise.resolve();
  let revive = (): void => undefined;
  let child = run(plan);
  const keep = async (): Promise<void> => {
    for (;;) {
      const startedAt = performance.now();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      if (stopping) return;
      told('died', child.pid ?? 0);
      pauseMs = performance.now() - startedAt > SETTLED_MS ? AGAIN_MS.first : Math.min(pauseMs * 2, AGAIN_MS.longest);
      await Promise.all([delay(pauseMs), revived]);
      if (stopping) return;
      child = run(plan);
      told('started', child.pid ?? 0);
    }
  };
  const kept = keep();
  return {
    name: plan.name,
    pid: () => child.pid ?? 0,
    async untilReady() {
      for (const start = performance.now(); performance.now() - start < READY_MS; await delay(LOOK_MS)) {
        if (stopping) throw new Error(`${plan.name} was stopped`);
        if (await plan.ready().catch(() => false)) return;
      }
      const said = readFileSync(plan.logFile, 'utf8').trim().split('\n').slice(-3).join('\n');
      throw new Error(`${plan.name} is not ready after ${READY_MS / 1000} s; it said last: ${said}`);
    },
    kill({ again }) {
      if (!again) revived = new Promise((resolve) => (revive = resolve));
      child.kill('SIGKILL');
    },
    revive: () => revive(),
    async stop() {
      stopping = true;
      revive();
      child.kill(plan.stopSignal);
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      clearTimeout(late);
      await kept;
    },
  };
}

function run({ program, args, cwd, env, uid, gid, logFile }: ProcessPlan): ChildProcess {
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(program, args, {
    cwd,
    ...(env === undefined ? {} : { env }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  // A program that cannot be run at all emits this and no exit; `ready` tells.
  child.on('error', () => child.emit('exit', 127, null));
  return child;
}
