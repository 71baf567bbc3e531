/** An Ollama server of a test's own, which it may harm: the program and models of the one at TEST_OLLAMA_URL. Linux only. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { environmentWith } from '../services.ts';

export interface OwnOllama {
  readonly url: string;
  /** Kills the process that runs the model, as a crash would. @returns whether there was one. */
  killRunner(): Promise<boolean>;
  stop(): Promise<void>;
}

/** Starts a server with the program and the models of the one that listens at `url`; null when that one is not on this machine. */
export async function startOwnOllama(url: string): Promise<OwnOllama | null> {
  const found = await findServer(new URL(url).port);
  if (found === null) return null;
  const port = await freePort();
  const child = spawn(found.program, ['serve'], {
    env: environmentWith({ ...found.environment, OLLAMA_HOST: `127.0.0.1:${port}`, OLLAMA_NUM_PARALLEL: '1' }),
    stdio: 'ignore',
  });
  const failed = once(child, 'error').then(([error]) => Promise.reject(error as Error));
  failed.catch(() => undefined);
  const own = `http://127.0.0.1:${port}`;
  await Promise.race([answers(own), failed]);
  return {
    url: own,
    killRunner: () => killRunnerOf(child),
    async stop() {
      await killRunnerOf(child);
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}

/** Program and OLLAMA_ settings of the server process that was told to listen on that port. */
async function findServer(port: string): Promise<{ program: string; environment: Record<string, string> } | null> {
  for (const pid of await processes()) {
    const environ = await procFile(pid, 'environ');
    const args = (await procFile(pid, 'cmdline')).split('\0');
    if (!/ollama$/.test(args[0] ?? '') || args[1] !== 'serve') continue;
    const settings = new Map(
      environ.split('\0').flatMap((line) => {
        const [, name, value] = /^(OLLAMA_\w+|HOME)=(.*)$/s.exec(line) ?? [];
        return name === undefined || value === undefined ? [] : [[name, value] as const];
      }),
    );
    if ((settings.get('OLLAMA_HOST') ?? ':11434').split(':').at(-1) !== port) continue;
    const environment = Object.fromEntries<string>(settings);
    return { program: await readlink(`/proc/${pid}/exe`), environment };
  }
  return null;
}

/** Only children of the server that was started here. */
async function killRunnerOf({ pid: server }: ChildProcess): Promise<boolean> {
  let killed = false;
  for (const pid of await processes()) {
    const parent = /^\d+ \(.*\) \S (\d+)/s.exec(await procFile(pid, 'stat'))?.[1];
    const args = (await procFile(pid, 'cmdline')).split('\0');
    if (Number(parent) !== server || args[1] !== 'runner') continue;
    process.kill(Number(pid), 'SIGKILL');
    killed = true;
  }
  return killed;
}

async function processes(): Promise<string[]> {
  return (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
}

/** Empty for a process that has ended or is somebody else's. */
async function procFile(pid: string, name: string): Promise<string> {
  return readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '');
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function answers(url: string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const there = await fetch(`${url}/api/version`, { signal: AbortSignal.timeout(1_000) }).then(
      ({ ok }) => ok,
      () => false,
    );
    if (there) return;
    await delay(100);
  }
  throw new Error('the Ollama server that was started here does not answer');
}
