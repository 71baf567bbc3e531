/** The thread of the embedded engine: in the main thread it would hold up every request (gaps of 600 ms were seen). */
import { createServer, type Server } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import { vector } from '@electric-sql/pglite-pgvector';
import { DurableNodeFs, markReady } from './embeddedPostgresFiles.ts';
import { COUNTERS, type EngineMessage, type EngineOrder, isEngineTask } from './embeddedPostgresThread.ts';
import { EmbeddedPostgresSessions } from './embeddedPostgresSessions.ts';
import { readSeed } from './embeddedPostgresSeed.ts';
import { startupMessage } from './embeddedPostgresWire.ts';

const BEAT_MS = 200;
/** PGlite's status of a PostgreSQL error that unwinds the stack: the only exception the engine survives. */
const UNWINDING = 100;
const MAX_FAULT_CHARS = 300;

const started = performance.now();
const task: unknown = workerData;
if (!parentPort || !isEngineTask(task)) throw new Error('this file is the entry of a worker thread');
const port = parentPort;
const { dataDir, pgdata, fresh, socketPath, maxConnections, idleInTransactionMs } = task;
const counters = new BigInt64Array(task.counters);
let lastWords = '';

setInterval(() => Atomics.add(counters, COUNTERS.beats, 1n), BEAT_MS);

/** Ends this thread in the middle of whatever runs, as nothing that runs can be trusted any more. */
function die(reason: string): never {
  post({ kind: 'fault', reason: lastWords || reason });
  process.exit(1);
}

function post(message: EngineMessage): void {
  port.postMessage(message);
}

async function openEngine(): Promise<PGlite> {
  const startParams = PGlite.defaultStartParams.filter((parameter) => parameter !== '-F');
  // The default method, fdatasync, is an empty function in the engine's filesystem layer; fsync is ours.
  startParams.push('-c', 'wal_sync_method=fsync', '-c', 'shared_buffers=16MB');
  const seed = fresh ? await readSeed() : undefined;
  const engine = await PGlite.create({
    ...(seed ? { loadDataDir: seed } : {}),
    fs: new DurableNodeFs(pgdata, () => Atomics.add(counters, COUNTERS.fsyncs, 1n)),
    extensions: { vector },
    startParams,
    onStderr: (line) => {
      // Other lines may hold statements, and so what people said.
      const found = /\b(?:PANIC|FATAL):.*/.exec(line);
      if (found) lastWords = found[0].slice(0, MAX_FAULT_CHARS);
      return false;
    },
  });
  dieWithEngine(engine);
  return engine;
}

/**
 * PGlite catches every exception and calls the engine again for the rest of the message: after a PANIC (the disk is full
 * when WAL must be written) that is for ever, at 100 % CPU.
 */
function dieWithEngine(engine: PGlite): void {
  const module = engine.Module;
  const step = module._PostgresMainLoopOnce;
  module._PostgresMainLoopOnce = () => {
    try {
      step();
    } catch (error) {
      const survives = error instanceof Object && 'status' in error && error.status === UNWINDING;
      if (!survives) die(error instanceof Error ? error.message : 'the engine stopped');
      throw error;
    }
  };
}

async function run(engine: PGlite, unit: Buffer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  // The chunks are views of the engine's memory, which the next one overwrites.
  const onRawData = (chunk: Uint8Array): void => void chunks.push(Buffer.from(chunk));
  await engine.execProtocolRawStream(unit, { syncToFs: false, onRawData });
  Atomics.add(counters, COUNTERS.units, 1n);
  return Buffer.concat(chunks);
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
}

async function main(): Promise<void> {
  const engine = await openEngine();
  if (fresh) {
    await engine.exec('CHECKPOINT');
    await markReady(dataDir, `PGlite on PostgreSQL ${await majorVersion(engine)}`);
  }
  const sessions = new EmbeddedPostgresSessions({
    run: (unit) => run(engine, unit),
    greeting: await run(engine, startupMessage('postgres', 'postgres')),
    maxConnections,
    idleInTransactionMs,
    onDead: (error) => die(error instanceof Error ? error.message : 'the engine stopped'),
  });
  const server = createServer((socket) => sessions.accept(socket));
  port.on('message', (order: EngineOrder) => {
    if (order === 'stop') void stop(engine, server, sessions);
  });
  await listen(server, socketPath);
  post({ kind: 'ready', tookMs: performance.now() - started });
}

async function majorVersion(engine: PGlite): Promise<string> {
  const { rows } = await engine.query<{ version: string }>(`SELECT current_setting('server_version') AS version`);
  return rows[0]?.version ?? 'unknown';
}

async function stop(engine: PGlite, server: Server, sessions: EmbeddedPostgresSessions): Promise<void> {
  server.close();
  await sessions.close();
  // Ends with PostgreSQL's shutdown checkpoint, so the next start has nothing to replay.
  await engine.close();
  process.exit(0);
}

await main().catch((error: unknown) => die(error instanceof Error ? error.message : 'the engine did not start'));
