/**
 * The data folder of the embedded engine: a first start that was cut off, and writes that survive a power loss.
 *
 *     <data folder>/initialising   there while the first start builds `pgdata`
 *     <data folder>/ready          `pgdata` is complete and on the disk; written last, never removed
 *     <data folder>/pgdata         what PostgreSQL calls its data directory
 */
import { fdatasyncSync } from 'node:fs';
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { NodeFS } from '@electric-sql/pglite/nodefs';
import { Refusal } from '../domain/refusal.ts';

/** Files that are synced at once after the first start: one after the other took 0.3 s for a thousand files. */
const SYNCS_AT_ONCE = 16;
/** EIO as WASI numbers it. */
const WASI_EIO = 29;

/**
 * Makes the folder usable and says whether the engine has to be made first. A half-made engine of an interrupted first start
 * is thrown away; one whose `ready` stands there never is. Rejects with `Refusal('unavailable')` when `pgdata` holds
 * something this program did not make, or has lost what it made. Call it only with the folder's lock held.
 */
export async function prepareDataFolder(dataDir: string): Promise<{ pgdata: string; fresh: boolean }> {
  const pgdata = join(dataDir, 'pgdata');
  const hasEngine = await exists(join(pgdata, 'PG_VERSION'));
  if (await exists(join(dataDir, 'ready'))) {
    if (!hasEngine) throw unusable('has lost its database: restore a backup or name another data folder.');
    await rm(join(dataDir, 'initialising'), { force: true });
    return { pgdata, fresh: false };
  }
  if (await exists(join(dataDir, 'initialising'))) await rm(pgdata, { recursive: true, force: true });
  else if (hasEngine) throw unusable('holds a database that was not made here: name another data folder.');
  await writeDurably(join(dataDir, 'initialising'), 'a first start is under way, or was cut off\n');
  await mkdir(pgdata, { recursive: true, mode: 0o700 });
  return { pgdata, fresh: true };
}

/** Puts a complete, checkpointed first state on the disk, then says so. After this the engine is never made again. */
export async function markReady(dataDir: string, made: string): Promise<void> {
  await syncTree(join(dataDir, 'pgdata'));
  await syncPath(dirname(dataDir));
  await writeDurably(join(dataDir, 'ready'), `${made}\n`);
  await rm(join(dataDir, 'initialising'), { force: true });
}

function unusable(problem: string): Refusal {
  return new Refusal('unavailable', `The data folder ${problem}`, { retryable: false });
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

async function writeDurably(path: string, content: string): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await syncPath(dirname(path));
}

async function syncTree(folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = [folder, ...entries.map((entry) => join(entry.parentPath, entry.name))].values();
  // One iterator shared by all: each takes the next path when it is done with its last.
  const syncRest = async (): Promise<void> => {
    for (const path of paths) await syncPath(path);
  };
  await Promise.all(Array.from({ length: SYNCS_AT_ONCE }, syncRest));
}

async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The part of an open file that the engine's filesystem layer hands to its operations. */
interface EngineStream {
  readonly nfd?: number;
}

/** The part of the engine's filesystem layer that is replaced. */
interface EngineFileOperations {
  fsync?: (stream: EngineStream) => number;
}

type EngineOptions = Parameters<NodeFS['init']>[1];

/**
 * PGlite's files on the disk, with an fsync: 0.5.14 has none, and after a simulated power loss none of 18 folders was usable.
 * Directories come with a file descriptor too, so the engine's own syncs of renamed files work as well.
 */
export class DurableNodeFs extends NodeFS {
  readonly #onSync: () => void;

  /** @param onSync called for every sync that reached the disk. */
  constructor(pgdata: string, onSync: () => void) {
    super(pgdata);
    this.#onSync = onSync;
  }

  override async init(...args: Parameters<NodeFS['init']>): Promise<{ emscriptenOpts: EngineOptions }> {
    const { emscriptenOpts } = await super.init(...args);
    const preRun = [...(emscriptenOpts.preRun ?? [])];
    preRun.push((module) => {
      const operations = ['FS', 'filesystems', 'NODEFS', 'stream_ops'].reduce<unknown>(property, module);
      if (!isOperations(operations)) throw new Error('the engine has changed: its files cannot be made durable');
      operations.fsync = (stream) => this.#sync(stream);
    });
    return { emscriptenOpts: { ...emscriptenOpts, preRun } };
  }

  /** 0, or the error that makes PostgreSQL stop rather than trust a disk that failed to write. */
  #sync(stream: EngineStream): number {
    try {
      if (stream.nfd === undefined) return WASI_EIO;
      fdatasyncSync(stream.nfd);
      this.#onSync();
      return 0;
    } catch {
      return WASI_EIO;
    }
  }
}

function property(value: unknown, name: string): unknown {
  return value instanceof Object ? Reflect.get(value, name) : undefined;
}

function isOperations(value: unknown): value is EngineFileOperations {
  return typeof value === 'object' && value !== null && 'write' in value && 'open' in value;
}
