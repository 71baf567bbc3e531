/** How the cluster runs the API and the workers: each as its own `colloquy` process, on a port that stays its own. */
import { join } from 'node:path';
import { freePort } from '../../test/postgresServer.ts';
import { environmentWith } from '../../test/services.ts';
import type { ProcessPlan } from './supervise.ts';

const LOOK_MS = 2_000;

/** A process and where it answers. */
export interface Planned {
  readonly url: string;
  readonly plan: ProcessPlan;
}

/** @param n from 1. */
export function apiPlan(n: number, home: string, env: Readonly<Record<string, string>>): Promise<Planned> {
  return planned('api', n, home, env);
}

/** Every projector folds every event, and one wins: a second one to stand by is enough. */
const PROJECTORS = 2;

/**
 * @param n from 1: its worker id stays when it is started again, so that it gives up its old claims at once.
 * @param embedder whether what is said is embedded.
 */
export function workerPlan(
  n: number,
  home: string,
  env: Readonly<Record<string, string>>,
  embedder: boolean,
): Promise<Planned> {
  const folding = n > PROJECTORS ? [] : embedder ? ['projector', 'auditor', 'embedder'] : ['projector', 'auditor'];
  const roles = { WORKER_ROLES: ['relay', 'sweeper', 'turns', ...folding].join() };
  return planned('worker', n, home, { ...roles, ...env, WORKER_ID: `worker-${n}` });
}

async function planned(
  mode: 'api' | 'worker',
  n: number,
  home: string,
  env: Readonly<Record<string, string>>,
): Promise<Planned> {
  const root = join(import.meta.dirname, '..', '..');
  const url = `http://127.0.0.1:${await freePort()}`;
  const name = `${mode}-${n}`;
  const plan: ProcessPlan = {
    name,
    program: process.execPath,
    args: ['scripts/colloquy.mjs', mode],
    cwd: root,
    env: environmentWith({ ...env, PORT: new URL(url).port, HOST: '127.0.0.1' }),
    logFile: join(home, 'logs', `${name}.log`),
    ready: async () => (await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(LOOK_MS) })).ok,
    stopSignal: 'SIGTERM',
  };
  return { url, plan };
}
