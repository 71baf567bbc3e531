/** Builds a version of a projection from the log beside the live one, verifies it, and makes it the live one. */
import type { RecordedEvent } from '../../domain/envelope.ts';
import type { Clock, EventStore } from '../../domain/ports.ts';
import { Refusal } from '../../domain/refusal.ts';
import { backOffMs } from '../persist.ts';
import { Poison } from './rows.ts';
import { GENTLE_EVENTS, type EventSource, type Page } from './source.ts';
import type { BuildTarget, Swapped, Verified } from './target.ts';
import { causedByData } from '../writeBatch.ts';

/** How far a rebuild is: in events where positions have no gaps, else in events of about so many. */
export interface RebuildProgress {
  readonly done: number;
  readonly total: number;
  readonly note: string;
}

export interface RebuildOptions {
  readonly target: BuildTarget;
  readonly store: EventStore;
  readonly source: EventSource;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Event types the projection handles, null for all. */
  readonly types: readonly string[] | null;
  /** Whether positions of this log have no gaps. */
  readonly gapless: boolean;
  /** As fast as it goes; otherwise nearly all of the time is left to others. */
  readonly fast: boolean;
  /** Events written at once; as `fast` says unless given. */
  readonly batch?: { readonly events: number; readonly chars: number } | undefined;
  /** Unless fast: of the time worked, how many times as long it rests; 24 times unless given. */
  readonly rest?: number | undefined;
  readonly report: (progress: RebuildProgress) => void;
}

export interface Rebuilt extends Swapped {
  readonly version: number;
  /** Events that were applied, of the types that the projection handles. */
  readonly events: number;
  readonly verified: readonly Verified[];
}

/** Events written at once, and about how many characters. */
const FAST = { events: 25_000, chars: 32_000_000 };
const GENTLE = { events: GENTLE_EVENTS, chars: 4_000_000 };
/**
 * Who works for a 25th of the time leaves the slowest hundredth of the reads nearly as it is, also on two processors: there
 * any thread busy for a quarter of it made p99 1.6 to 2.0 times as long, for a 25th 1.0 to 1.2 times.
 */
const REST = 24;
/** Close enough to the end of the log for the rest to be applied while runners wait. */
const CLOSE_ROUNDS = 20;
const MAX_FAILURES = 8;
/** How long the live version may take to reach an event that could not be applied. */
const ASK_LIVE_MS = 10_000;
const ASK_EVERY_MS = 200;

interface Run extends RebuildOptions {
  version: number;
  place: bigint;
  head: bigint;
  /** Events applied in this run. */
  events: number;
  /** Events written at once now: few while one is looked for that the store refuses. */
  limit: number;
  /** When the last rest ended. */
  restedMs: number;
}

/** @throws Poison for an event that neither this nor the live version can apply, Refusal when somebody else took over. */
export async function rebuild(options: RebuildOptions): Promise<Rebuilt> {
  const { target, signal } = options;
  const run = await begin(options);
  const { version } = run;
  tell(run, 'building');
  await catchUp(run);
  tell(run, 'making indexes');
  await target.complete();
  const verified = await verify(run);
  for (let rounds = 0; rounds < CLOSE_ROUNDS; rounds += 1) {
    await catchUp(run);
    signal.throwIfAborted();
    tell(run, 'swapping');
    const swapped = await target.swap();
    if (swapped !== null) return { ...swapped, version, events: run.events, verified };
  }
  throw new Refusal('unavailable', 'the log grows faster than it can be applied: try again with fast', {
    retryable: true,
  });
}

async function begin(options: RebuildOptions): Promise<Run> {
  const { version, position } = await options.target.open();
  const restedMs = options.clock.monotonic();
  return { ...options, version, place: position, head: position, events: 0, limit: batchOf(options).events, restedMs };
}

/** Catches a version up that was verified before, and makes it the live one. */
export async function rollBack(options: RebuildOptions): Promise<Rebuilt> {
  const run = await begin(options);
  const { version } = run;
  for (let rounds = 0; rounds < CLOSE_ROUNDS; rounds += 1) {
    options.signal.throwIfAborted();
    const swapped = await options.target.swap();
    if (swapped !== null) return { ...swapped, version, events: run.events, verified: [] };
    await catchUp(run);
  }
  throw new Refusal('unavailable', 'the log grows faster than it can be applied: try again', { retryable: true });
}

function batchOf({ fast, batch }: Pick<RebuildOptions, 'fast' | 'batch'>): typeof FAST {
  return batch ?? (fast ? FAST : GENTLE);
}

/** Applies what the log holds now; again and again after failures that may pass. */
async function catchUp(run: Run): Promise<void> {
  const { store, target, clock, signal } = run;
  for (let failures = 0; ;) {
    const before = run.place;
    try {
      const to = await store.head();
      run.head = to;
      if (to > run.place) await applyUpTo(run, to);
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (run.place > before) failures = 0;
      if (!(await canGoOn(run, error))) throw error;
      failures += 1;
      if (failures > MAX_FAILURES) throw error;
      await clock.sleep(backOffMs(failures), signal);
      signal.throwIfAborted();
      run.place = (await target.open()).position;
    }
  }
}

async function applyUpTo(run: Run, to: bigint): Promise<void> {
  const { target, source, types, signal } = run;
  let events: RecordedEvent[] = [];
  let [chars, through] = [0, run.place];
  run.restedMs = run.clock.monotonic();
  const flush = async () => {
    await applyPage(run, { events, through, chars });
    events = [];
    chars = 0;
  };
  for await (const page of source.read({ after: run.place, to, types })) {
    signal.throwIfAborted();
    const batch = batchOf(run);
    for (const event of page.events) {
      events.push(event);
      through = event.position;
      if (events.length >= Math.min(batch.events, run.limit)) await flush();
    }
    through = page.through;
    chars += page.chars;
    if (chars >= batch.chars || page.events.length === 0) await flush();
  }
  if (through > run.place) await flush();
  await target.flush();
}

async function applyPage(run: Run, page: Page): Promise<void> {
  const { target, clock, signal, fast } = run;
  signal.throwIfAborted();
  if (page.through <= run.place) return;
  const careful = run.limit < batchOf(run).events;
  await target.apply(page, careful);
  if (!fast || careful) await target.flush();
  run.place = page.through;
  run.events += page.events.length;
  run.limit = Math.min(batchOf(run).events, run.limit * 2);
  tell(run, 'building');
  // Reading and decoding the page was work, too.
  if (!fast) await rest(run, clock.monotonic() - run.restedMs);
  run.restedMs = clock.monotonic();
}

async function rest({ clock, signal, rest: times = REST }: Run, workedMs: number): Promise<void> {
  await clock.sleep(Math.max(1, workedMs * times), signal);
  signal.throwIfAborted();
}

/** What can be done about a failure. False when it is final. */
async function canGoOn(run: Run, error: unknown): Promise<boolean> {
  if (error instanceof Poison) return mayBeParked(run, error.event);
  if (error instanceof Refusal && !error.retryable) return false;
  if (!causedByData(error)) return true;
  if (run.limit > 1) {
    // Somewhere in the batch is an event whose row the store refuses: smaller ones find it.
    run.limit = Math.ceil(Math.min(run.limit, batchOf(run).events) / 16);
    return true;
  }
  const next = await firstBehind(run);
  if (next === null) return false;
  const message = error instanceof Error ? error.message : 'the store does not take its row';
  run.target.refuse(next.id, message);
  if (await mayBeParked(run, next)) return true;
  throw new Poison(next, message);
}

async function firstBehind({ source, store, types, target }: Run): Promise<RecordedEvent | null> {
  const { position } = await target.open();
  for await (const { events } of source.read({ after: position, to: await store.head(), types }))
    if (events[0] !== undefined) return events[0];
  return null;
}

/** Whether the live version has parked the event's stream; it may not have come so far yet. */
async function mayBeParked({ target, clock, signal }: Run, event: RecordedEvent): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < ASK_LIVE_MS; waitedMs += ASK_EVERY_MS) {
    const answer = await target.mayFail(event);
    if (answer !== null) return answer;
    await clock.sleep(ASK_EVERY_MS, signal);
    signal.throwIfAborted();
  }
  return false;
}

async function verify(run: Run): Promise<readonly Verified[]> {
  const { clock, fast, signal, target, gapless } = run;
  let folded = 0;
  let startedMs = clock.monotonic();
  const events = gapless ? Number(run.place) : run.events;
  return target.verify(async (count) => {
    signal.throwIfAborted();
    folded += count;
    tell(run, `verifying, ${folded.toLocaleString('en')} events folded`);
    if (!fast) await rest(run, clock.monotonic() - startedMs);
    startedMs = clock.monotonic();
  }, events);
}

function tell({ place, head, events, gapless, report }: Run, note: string): void {
  if (gapless) return report({ done: Number(place), total: Number(head), note });
  // Where positions have gaps, the rest is estimated by how much of the log's length is behind.
  const total = place > 0n ? Math.round((events * Number(head)) / Number(place)) : events;
  report({ done: events, total: Math.max(events, total), note });
}
