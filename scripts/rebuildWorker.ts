/** The thread's side of `rebuildThread.ts`. */
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { Refusal } from '../domain/refusal.ts';
import { openDatabase } from '../infra/database.ts';
import { openMeaning } from './meaning.ts';
import { carryOutTask } from './rebuildTask.ts';
import type { ThreadMessage, ThreadOrder, ThreadTask } from './rebuildThread.ts';
import { openLog } from './storage.ts';

/** One for a transaction, one for what is read meanwhile, one to spare. */
const CONNECTIONS = 3;
const REPORT_MS = 250;
/** A tenth of what others get where the processors are short: who holds locks at the swap must not starve either. */
const NICE = 10;

if (!parentPort) throw new Error('this file is the entry of a worker thread');
const port = parentPort;
const { settings, embedded, task } = workerData as ThreadTask;
const stopping = new AbortController();
port.on('message', (order: ThreadOrder) => {
  if (order === 'stop') stopping.abort();
});

// On Linux the priority is one thread's. Elsewhere it would be the whole process's.
if (!task.fast && process.platform === 'linux') setPriority(NICE);

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
const database = openDatabase({
  connection: embedded ?? settings.DATABASE_URL ?? '',
  poolMax: CONNECTIONS,
  embedded: embedded !== null,
  applicationName: 'colloquy rebuild',
  onError: () => undefined,
});
let toldMs = 0;

function post(message: ThreadMessage): void {
  port.postMessage(message);
}

try {
  const log = await openLog(settings, database, quiet);
  const meaning = openMeaning(settings, database, await log.store.lineage());
  try {
    const result = await carryOutTask(task, {
      database,
      store: log.store,
      meaning,
      ownLog: settings.EVENTSTORE_URL === undefined,
      signal: stopping.signal,
      report(progress) {
        const nowMs = performance.now();
        if (nowMs - toldMs < REPORT_MS) return;
        toldMs = nowMs;
        post({ kind: 'progress', progress });
      },
    });
    post({ kind: 'done', result });
  } finally {
    await meaning.close();
    await log.close();
  }
} catch (error) {
  if (!stopping.signal.aborted) {
    const refusal = error instanceof Refusal ? error : new Refusal('internal', String(error));
    post({ kind: 'failed', code: refusal.code, detail: refusal.message });
  }
} finally {
  await database.close();
  port.close();
}
