/**
 * The database of a Colloquy that nobody installed one for: PostgreSQL compiled to WebAssembly (PGlite) in a thread of this
 * process, made durable, reached over a private unix socket by the same driver and SQL as any other PostgreSQL.
 */
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { lockDataFolder } from './dataLock.ts';
import { type EngineThread, startEngineThread, watchBeats } from './embeddedPostgresEngine.ts';
import { prepareDataFolder } from './embeddedPostgresFiles.ts';
import { COUNTERS, newCounters } from './embeddedPostgresThread.ts';
import { EmbeddedPostgresUpkeep, UPKEEP_MS } from './embeddedPostgresUpkeep.ts';

const PORT = 5432;
const SOCKET_NAME = `.s.PGSQL.${PORT}`;
/** macOS allows 103 bytes, Linux 107. */
const MAX_SOCKET_PATH_BYTES = 100;
const REMOVE = { recursive: true, force: true };
const START_MS = 120_000;
const STOP_MS = 10_000;
const BACK_OFF_FIRST_MS = 100;
const BACK_OFF_MOST_MS = 30_000;
/** A life this long makes the back-off start over. */
const HEALTHY_MS = 60_000;

export interface EmbeddedPostgresOptions {
  /** Made when absent. One process at a time. */
  readonly dataDir: string;
  /** Told whenever the engine was lost or could not be opened again. It is always opened again, with growing delays. */
  readonly onFault: (error: Error) => void;
  /**
   * A statement that runs longer is ended together with the engine's thread, as nothing else can end it: there is no
   * statement_timeout and no cancel. Default 60,000.
   */
  readonly stuckMs?: number;
  /** Default 10,000: see `SessionsOptions.idleInTransactionMs`. */
  readonly idleInTransactionMs?: number;
  /** Default 16. */
  readonly maxConnections?: number;
  /** Default 200 MB. */
  readonly checkpointWalBytes?: number;
  /** Default 2,000. */
  readonly upkeepEveryMs?: number;
}

export interface EmbeddedPostgresStats {
  /** Syncs that reached the disk since this process started, at least one for every commit that wrote. */
  readonly fsyncs: number;
  /** Statements that were run. */
  readonly units: number;
  readonly walBytesSinceCheckpoint: number;
  /** Checkpoints that the upkeep asked for. */
  readonly checkpoints: number;
  /** How often the engine was lost and opened again. */
  readonly restarts: number;
  /** False between the loss of the engine and its return: clients cannot connect. */
  readonly open: boolean;
  /** How long the engine took to open, milliseconds. */
  readonly openedInMs: number;
}

export interface EmbeddedPostgres {
  /** For pg and knex. Every connection works on the same single session: see `embeddedPostgresSessions.ts`. */
  readonly connection: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly database: string;
  };
  /** Checkpoint, close, unlock. Clients are dropped, open transactions rolled back. May be called twice. */
  stop(): Promise<void>;
  stats(): EmbeddedPostgresStats;
  /** Refreshes the planner's statistics, of all tables when none is named; worth it after loading many rows. */
  analyze(tables?: readonly string[]): Promise<void>;
}

/**
 * Resolves when clients can connect. Rejects with `Refusal('conflict')` while another process uses the folder, with
 * `Refusal('unavailable')` when the folder holds something else, and with what the engine said when it does not start.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const lock = await lockDataFolder(dataDir);
  let socketFolder: string | undefined;
  const letGo = async (): Promise<void> => {
    if (socketFolder) await rm(socketFolder, REMOVE);
    await lock.release();
  };
  try {
    socketFolder = await privateFolder(dataDir);
    const connection = { host: socketFolder, port: PORT, user: 'postgres', database: 'postgres' };
    const keeper = new EngineKeeper({ ...options, dataDir }, join(socketFolder, SOCKET_NAME));
    await keeper.open();
    const upkeep = new EmbeddedPostgresUpkeep({
      connection,
      everyMs: options.upkeepEveryMs ?? 2_000,
      checkpointWalBytes: options.checkpointWalBytes ?? 200_000_000,
      units: () => keeper.count(COUNTERS.units),
      withPatience: (work) => keeper.withPatience(work),
    });
    let stopped: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      const quiet = upkeep.stop();
      await keeper.stop().finally(letGo);
      await quiet;
    };
    return {
      connection,
      stop: () => (stopped ??= stop()),
      analyze: (tables) => upkeep.analyze(tables),
      stats: () => ({
        ...keeper.stats(),
        walBytesSinceCheckpoint: upkeep.walBytesSinceCheckpoint,
        checkpoints: upkeep.checkpoints,
      }),
    };
  } catch (error) {
    await letGo();
    throw error;
  }
}

/** A folder only this user can enter: whoever reaches the socket is the database's owner, without any password. */
async function privateFolder(dataDir: string): Promise<string> {
  const folder = join(dataDir, 'socket');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { mode: 0o700 });
  await chmod(folder, 0o700);
  const record = join(dataDir, 'socket-elsewhere');
  const left = await readFile(record, 'utf8').catch(() => '');
  // A process that was killed could not remove it.
  if (dirname(left) === tmpdir() && basename(left).startsWith('colloquy-')) await rm(left, REMOVE);
  await rm(record, REMOVE);
  if (Buffer.byteLength(join(folder, SOCKET_NAME)) <= MAX_SOCKET_PATH_BYTES) return folder;
  const elsewhere = await mkdtemp(join(tmpdir(), 'colloquy-'));
  await writeFile(record, elsewhere);
  return elsewhere;
}

/** Keeps an engine open: watches it, and opens another one when it is lost. */
class EngineKeeper {
  readonly #options: EmbeddedPostgresOptions;
  readonly #socketPath: string;
  readonly #shared = newCounters();
  readonly #counters = new BigInt64Array(this.#shared);
  readonly #stopping = new AbortController();
  #engine: EngineThread | undefined;
  #reopening: Promise<void> | undefined;
  #patient = 0;
  #restarts = 0;
  #failures = 0;
  #openedInMs = 0;

  constructor(options: EmbeddedPostgresOptions, socketPath: string) {
    this.#options = options;
    this.#socketPath = socketPath;
  }

  async open(): Promise<void> {
    const { dataDir, maxConnections = 16, idleInTransactionMs = 10_000, stuckMs = 60_000 } = this.#options;
    const startedAtMs = performance.now();
    const { pgdata, fresh } = await prepareDataFolder(dataDir);
    await rm(this.#socketPath, { force: true });
    const files = { dataDir, pgdata, fresh, socketPath: this.#socketPath };
    const limits = { maxConnections, idleInTransactionMs };
    const engine = await startEngineThread({ ...files, ...limits, counters: this.#shared }, START_MS);
    const openedAtMs = performance.now();
    this.#openedInMs = openedAtMs - startedAtMs;
    this.#engine = engine;
    const endWatch = watchBeats(
      this.#counters,
      () => (this.#patient > 0 ? UPKEEP_MS : stuckMs),
      () => engine.kill('the embedded database stopped answering and was ended'),
    );
    void engine.ended.then((reason) => {
      endWatch();
      this.#engine = undefined;
      if (performance.now() - openedAtMs >= HEALTHY_MS) this.#failures = 0;
      if (!this.#stopping.signal.aborted) this.#reopening = this.#reopen(reason);
    });
  }

  async #reopen(lost: Error): Promise<void> {
    for (let reason = lost; !this.#stopping.signal.aborted;) {
      this.#options.onFault(reason);
      const delayMs = Math.min(BACK_OFF_MOST_MS, BACK_OFF_FIRST_MS * 2 ** Math.min(this.#failures, 20));
      this.#failures += 1;
      await sleep(delayMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      if (this.#stopping.signal.aborted) return;
      try {
        await this.open();
        this.#restarts += 1;
        return;
      } catch (error) {
        reason = error instanceof Error ? error : new Error(String(error));
      }
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#reopening;
    await this.#engine?.stop(STOP_MS);
  }

  /** While `work` lasts, the engine may be silent for as long as upkeep may take. */
  async withPatience<T>(work: () => Promise<T>): Promise<T> {
    this.#patient += 1;
    try {
      return await work();
    } finally {
      this.#patient -= 1;
    }
  }

  count(counter: number): bigint {
    return Atomics.load(this.#counters, counter);
  }

  stats(): Omit<EmbeddedPostgresStats, 'walBytesSinceCheckpoint' | 'checkpoints'> {
    return {
      fsyncs: Number(this.count(COUNTERS.fsyncs)),
      units: Number(this.count(COUNTERS.units)),
      restarts: this.#restarts,
      open: this.#engine !== undefined,
      openedInMs: this.#openedInMs,
    };
  }
}
