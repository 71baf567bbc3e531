/** What a row of the table is, and how numbers come about. */
import { setTimeout as delay } from 'node:timers/promises';

/** Whether a row is as good as wanted. */
export interface Target {
  readonly says: string;
  readonly holds: boolean;
}

/** One row: ours beside its floor, both of the same run and in `unit`. */
export interface Measured {
  readonly unit: string;
  readonly ours: number;
  readonly floor: number | null;
  /** ours ÷ floor; median over the rounds where there are several. */
  readonly ratio: number | null;
  readonly target?: Target;
  readonly note?: string;
}

/** Measures one row; a failure becomes the row's text and the run goes on. */
export type Report = (name: string, work: () => Promise<Measured>) => Promise<void>;

/** Rejects when the work takes longer; the work itself may go on, its database is dropped under it. */
export async function within<T>(deadlineMs: number, work: Promise<T>): Promise<T> {
  const over = new AbortController();
  const late = delay(deadlineMs, undefined, { signal: over.signal }).then(
    () => Promise.reject(new Error(`not done after ${deadlineMs / 1000} s`)),
    () => new Promise<never>(() => undefined),
  );
  return Promise.race([work, late]).finally(() => over.abort());
}

/** Units of work a second that `workers` loops get done; each call answers how many units it was. */
export async function rate(
  workers: number,
  forMs: number,
  work: (worker: number, i: number) => Promise<number>,
): Promise<number> {
  const started = performance.now();
  let done = 0;
  const loop = async (worker: number) => {
    for (let i = 0; performance.now() - started < forMs; i += 1) {
      // Not `done += await …`: that adds to what it was before the wait, and loses what other loops have added since.
      const units = await work(worker, i);
      done += units;
    }
  };
  await Promise.all(Array.from({ length: workers }, (_, worker) => loop(worker)));
  return (done * 1000) / (performance.now() - started);
}

/** Ours and floor by turns, so that a busy moment of the machine hits both; medians, and the median of the rounds' ratios. */
export async function compare(
  rounds: number,
  ours: () => Promise<number>,
  floor: () => Promise<number>,
): Promise<{ ours: number; floor: number; ratio: number }> {
  const [all, floors]: [number[], number[]] = [[], []];
  for (let i = 0; i < rounds; i += 1) {
    floors.push(await floor());
    all.push(await ours());
  }
  const ratios = all.map((each, i) => each / (floors[i] ?? NaN));
  return { ours: percentile(all, 50), floor: percentile(floors, 50), ratio: percentile(ratios, 50) };
}

/** The nearest-rank percentile; NaN of nothing. */
export function percentile(values: readonly number[] | Float64Array, p: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil((p / 100) * sorted.length) - 1))] ?? NaN;
}

/** Milliseconds of a clock that all processes of a machine share. */
export function sharedNowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** A target on the row's own figure. */
export function atMost(limit: number, unit: string, value: number): Target {
  return { says: `≤ ${limit.toLocaleString('en')} ${unit}`, holds: value <= limit };
}

/** A target on the row's own figure. */
export function atLeast(limit: number, unit: string, value: number): Target {
  return { says: `≥ ${limit.toLocaleString('en')} ${unit}`, holds: value >= limit };
}

/** A target on ours ÷ floor. */
export function ratioAtLeast(limit: number, ratio: number): Target {
  return { says: `≥ ${limit} × floor`, holds: ratio >= limit };
}
