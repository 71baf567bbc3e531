/** Long work that answers 202 and goes on in this process; every process sees how far it is and can stop it. */
import type { Operation, Outcome, Progress } from '../domain/operation.ts';
import type { Clock, Ids, OperationRecords } from '../domain/ports.ts';
import { Refusal } from '../domain/refusal.ts';

/** Tells how far the work is, in units of its own. */
export type Report = (done: number, total: number, note: string) => void;
export type Work = (report: Report, signal: AbortSignal) => Promise<unknown>;

export interface Operations {
  /** Starts work. @throws Refusal `rate-limited` when too many run, `unavailable`. */
  start(kind: string, work: Work): Promise<Operation>;
  get(id: string): Promise<Operation | null>;
  /** What is under way in any process, the eldest first. */
  running(): Promise<Operation[]>;
  /** Asks running work to stop, wherever it runs; it learns of it within a second. @returns null for an unknown one. */
  cancel(id: string): Promise<Operation | null>;
  /** Stops what runs in this process; resolves when that is recorded, or after 3 s. */
  stop(): Promise<void>;
}

const LIMITS = { running: 4, kept: 500 };
/** How often progress is written and asked whether to go on. */
const ALIVE_MS = 500;
const STOP_MS = 3_000;
/** After these waits the end of work is left to those who read: it gave no sign of life. */
const END_RETRIES_MS = [500, 1_000, 2_000, 4_000, 8_000, 16_000];

interface Running {
  readonly id: string;
  readonly abort: AbortController;
  progress: Progress;
  /** Aborted when the work has ended. */
  readonly over: AbortController;
}

interface Outside {
  readonly records: OperationRecords;
  readonly clock: Clock;
  /** Aborted when the process stops. */
  readonly stopping: AbortSignal;
}

/** @param records what every process sees. */
export function createOperations(records: OperationRecords, clock: Clock, ids: Ids): Operations {
  const running = new Map<string, { run: Running; done: Promise<void> }>();
  const stopping = new AbortController();
  const outside = { records, clock, stopping: stopping.signal };
  return {
    async start(kind, work) {
      const operation = await records.begin(ids.next(), kind, LIMITS);
      if (operation === null)
        throw new Refusal('rate-limited', `${LIMITS.running} operations are running already: wait for one to end`, {
          retryable: true,
          retryAfterMs: 5000,
        });
      const { id, progress } = operation;
      const run: Running = { id, progress, abort: new AbortController(), over: new AbortController() };
      if (stopping.signal.aborted) run.abort.abort();
      void keepAlive(run, outside);
      const done = carryOut(run, work, outside).finally(() => running.delete(id));
      running.set(id, { run, done });
      return operation;
    },
    get: (id) => records.get(id),
    running: () => records.running(),
    async cancel(id) {
      const operation = await records.cancel(id);
      running.get(id)?.run.abort.abort();
      return operation;
    },
    async stop() {
      stopping.abort();
      const all = [...running.values()];
      // Other than work that was cancelled, this may be gone on with.
      for (const { run } of all) run.abort.abort('stopping');
      const late = new AbortController();
      const ended = Promise.all(all.map(({ done }) => done));
      await Promise.race([ended, clock.sleep(STOP_MS, late.signal)]);
      late.abort();
    },
  };
}

/** Never rejects. */
async function carryOut(run: Running, work: Work, { records, clock, stopping }: Outside): Promise<void> {
  const outcome = await outcomeOf(run, work, clock, stopping);
  run.over.abort();
  for (const waitMs of [...END_RETRIES_MS, 0]) {
    const told = await records.end(run.id, outcome).then(
      () => true,
      () => false,
    );
    if (told || stopping.aborted) return;
    await clock.sleep(waitMs, stopping);
  }
}

async function outcomeOf(run: Running, work: Work, clock: Clock, stopping: AbortSignal): Promise<Outcome> {
  const startedMs = clock.monotonic();
  const report: Report = (done, total, note) => {
    const rate = done / Math.max(0.001, (clock.monotonic() - startedMs) / 1000);
    const etaSeconds = rate > 0 && total > done ? Math.ceil((total - done) / rate) : null;
    run.progress = { done, total, rate: Math.round(rate), etaSeconds, note };
  };
  const failed = (code: string, detail: string): Outcome => ({
    status: 'failed',
    progress: run.progress,
    result: null,
    error: { code, detail },
  });
  try {
    const result = (await work(report, run.abort.signal)) ?? null;
    return { status: 'succeeded', progress: run.progress, result, error: null };
  } catch (error) {
    if (stopping.aborted) return failed('unavailable', 'the process that ran it was stopped: start it again');
    if (run.abort.signal.aborted) return { status: 'cancelled', progress: run.progress, result: null, error: null };
    if (error instanceof Refusal) return failed(error.code, error.message);
    return failed('internal', 'it failed in an unexpected way');
  }
}

/** Until the work has ended. A database that is away does not stop it: only who reads sees no sign of life. */
async function keepAlive(run: Running, { records, clock }: Outside): Promise<void> {
  const { signal } = run.over;
  while (!signal.aborted) {
    await clock.sleep(ALIVE_MS, signal);
    if (signal.aborted) return;
    const goOn = await records.alive(run.id, run.progress).catch(() => true);
    if (!goOn) run.abort.abort();
  }
}
