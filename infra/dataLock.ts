/** Keeps a second process out of a data folder: two engines on one folder corrupt it without a word. */
import { randomUUID } from 'node:crypto';
import { link, readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { Refusal } from '../domain/refusal.ts';

/** How long the holder has to say its process id. */
const ASK_MS = 500;
/** Attempts to take over a lock file whose process is gone. */
const TAKE_OVER_ATTEMPTS = 10;

export interface DataLock {
  /** Lets the next process in. May be called twice. */
  release(): Promise<void>;
}

/** `socket`: the kernel frees it with the process, so it is never stale; Linux only. `file`: process id and liveness. */
export type LockMethod = 'socket' | 'file';

/**
 * Locks an existing folder for this process. Rejects with `Refusal('conflict')` while another process (or another part of
 * this one) holds it. Whatever path leads to the folder, the lock is the same. It does not reach over machines nor, with
 * `socket`, over network namespaces: two containers that share a volume must not both use it.
 */
export async function lockDataFolder(
  folder: string,
  method: LockMethod = process.platform === 'linux' ? 'socket' : 'file',
): Promise<DataLock> {
  return method === 'socket' ? await lockBySocket(folder) : await lockByFile(folder);
}

async function lockBySocket(folder: string): Promise<DataLock> {
  const { dev, ino } = await stat(folder, { bigint: true });
  // A leading NUL is Linux's abstract namespace: nothing on disk, gone with the process (unix(7)).
  const name = `\0colloquy-data-${dev}-${ino}`;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(`${process.pid}\n`);
  });
  server.maxConnections = 4;
  try {
    await listen(server, name);
  } catch (error) {
    if (codeOf(error) !== 'EADDRINUSE') throw error;
    throw inUse(await askHolder(name));
  }
  server.unref();
  let closed: Promise<void> | undefined;
  return { release: () => (closed ??= new Promise((resolve) => server.close(() => resolve()))) };
}

function listen(server: Server, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(name, () => {
      server.off('error', reject);
      server.on('error', () => undefined);
      resolve();
    });
  });
}

/** The holder's process id; undefined when it does not say in time (it may be stopped or busy). */
function askHolder(name: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const socket = connect(name);
    const timer = setTimeout(() => socket.destroy(), ASK_MS);
    let answer = '';
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      answer += text;
      if (answer.length > 32) socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(/^\d{1,10}\n$/.test(answer) ? Number(answer) : undefined);
    });
  });
}

/** Lock files of this very process: after a restart in a container the old holder's id is often our own. */
const heldHere = new Set<string>();

/**
 * Each holder links a file whose number is one higher than the last one's; only the highest counts, and it is never removed,
 * only replaced by a higher one. So taking over from a dead process needs no removal, in which two that do it at once could
 * both succeed: of two who link the same number one fails, and who links a number that is not the highest withdraws.
 */
async function lockByFile(folder: string): Promise<DataLock> {
  // Written whole under another name and then linked: nobody ever reads a half-written lock.
  const draft = join(folder, `.lock-${randomUUID()}`);
  const content = `${process.pid} ${randomUUID()}\n`;
  await writeFile(draft, content, { flag: 'wx', mode: 0o600 });
  heldHere.add(content);
  try {
    for (let attempt = 0; attempt < TAKE_OVER_ATTEMPTS; attempt += 1) {
      const last = (await lockNumbers(folder)).at(-1) ?? 0;
      await assertFree(lockFile(folder, last));
      const own = lockFile(folder, last + 1);
      if (!(await linked(draft, own))) continue;
      const numbers = await lockNumbers(folder);
      if (numbers.at(-1) !== last + 1) {
        await unlink(own);
        continue;
      }
      for (const number of numbers.slice(0, -1)) await unlink(lockFile(folder, number)).catch(() => undefined);
      return fileLock(own, content);
    }
    throw inUse(undefined);
  } catch (error) {
    heldHere.delete(content);
    throw error;
  } finally {
    await unlink(draft).catch(() => undefined);
  }
}

function fileLock(path: string, content: string): DataLock {
  const release = async (): Promise<void> => {
    if (!heldHere.has(content)) return;
    await writeFile(path, '0 released\n');
    heldHere.delete(content);
  };
  return { release };
}

function lockFile(folder: string, number: number): string {
  return join(folder, `lock-${number}`);
}

/** Ascending. */
async function lockNumbers(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names
    .flatMap((name) => /^lock-(\d{1,15})$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

async function linked(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Rejects when the process that wrote the lock lives. */
async function assertFree(path: string): Promise<void> {
  const seen = await readOrNothing(path);
  if (seen === undefined) return;
  const holder = Number.parseInt(seen, 10);
  if (heldHere.has(seen) || (holder !== process.pid && isAlive(holder))) throw inUse(holder);
}

function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

async function readOrNothing(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

function inUse(pid: number | undefined): Refusal {
  const holder = pid === undefined ? 'another process' : `process ${pid}`;
  return new Refusal('conflict', `The data folder is in use by ${holder}: stop it or name another data folder.`);
}
