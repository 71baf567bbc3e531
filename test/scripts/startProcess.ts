/** `colloquy start` as a process of its own, for tests that kill it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { DiscussionEvent } from '../../domain/discussion/events.ts';
import { environmentWith } from '../services.ts';

/** An event as the API shows it. */
export type WireEvent = DiscussionEvent & {
  readonly id: string;
  readonly revision: number;
  readonly position: string;
  readonly occurredAt: string;
};

export interface StartedProcess {
  readonly pid: number;
  /** What it wrote to stderr so far. */
  errors(): string;
  /** Waits until it serves, and answers with its address. */
  url(): Promise<string>;
  /** Sends a signal and waits for the end. @returns exit code, null after kill -9. */
  end(signal: NodeJS.Signals): Promise<number | null>;
  /** Waits for it to end by itself. */
  ended(): Promise<number | null>;
  api(method: string, path: string, body?: unknown): Promise<unknown>;
  events(discussionId: string): Promise<WireEvent[]>;
}

const SERVES_WITHIN_MS = 40_000;
const running = new Set<ChildProcess>();

/** Ends what a failed test left. */
export async function killStarted(): Promise<void> {
  for (const child of running) {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  running.clear();
}

/** Runs the command line with settings on a data folder of its own. */
export function startProcess(
  dataDir: string,
  { args = ['--no-demo'], env = {} }: { args?: readonly string[]; env?: Record<string, string> } = {},
): StartedProcess {
  const root = join(import.meta.dirname, '..', '..');
  const child = spawn(process.execPath, ['scripts/colloquy.mjs', 'start', ...args], {
    cwd: root,
    // Nothing of the environment of the tests may reach it: the embedded database and the built-in model are meant.
    env: environmentWith({
      DATABASE_URL: '',
      OLLAMA_URL: 'http://127.0.0.1:9',
      WORKER_ID: '',
      PORT: '0',
      COLLOQUY_DATA: dataDir,
      ...env,
    }),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  running.add(child);
  const exit = once(child, 'exit').then(() => void running.delete(child));
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (stderr = (stderr + text).slice(-20_000)));
  const url = () => servedUrl(child, dataDir, () => stderr);
  const api = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const base = await url();
    const { token } = JSON.parse(await readFile(join(dataDir, 'credentials.json'), 'utf8')) as { token: string };
    const response = await fetch(`${base}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(10_000),
    });
    const answer: unknown = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  };
  const ended = async () => {
    await exit;
    return child.exitCode;
  };
  return {
    pid: child.pid ?? 0,
    errors: () => stderr,
    url,
    api,
    ended,
    async end(signal) {
      child.kill(signal);
      return ended();
    },
    events: (id) => eventsOf(api, id),
  };
}

/** A page holds 200 events at most. */
async function eventsOf(api: StartedProcess['api'], id: string): Promise<WireEvent[]> {
  const all: WireEvent[] = [];
  for (;;) {
    const after = all.length === 0 ? '' : `&after=${all.at(-1)?.revision}`;
    const { data } = (await api('GET', `/discussions/${id}/events?limit=200${after}`)) as { data: WireEvent[] };
    all.push(...data);
    if (data.length < 200) return all;
  }
}

/** service.json may still be that of a process that was killed: it counts when it names this one. */
async function servedUrl(child: ChildProcess, dataDir: string, stderr: () => string): Promise<string> {
  const start = performance.now();
  while (performance.now() - start < SERVES_WITHIN_MS) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${stderr()}`);
    const text = await readFile(join(dataDir, 'service.json'), 'utf8').catch(() => '');
    if (text.endsWith('\n')) {
      const service = JSON.parse(text) as { url: string; pid: number };
      if (service.pid === child.pid) return service.url;
    }
    await delay(50);
  }
  throw new Error(`it does not serve after ${SERVES_WITHIN_MS} ms: ${stderr()}`);
}
