import { beginProjections, type BeginOptions } from './beginProjections.ts';
import { catchUpAlone, replay, type CatchUpOptions } from './catchUp.ts';
import type { Member } from './checkpoints.ts';
import { watchCheckpoints, type CheckpointWatch } from './checkpointWatch.ts';
import { createEventBuffer, type BufferLimits, type EventBuffer } from './eventBuffer.ts';
import { backOffMs, type StoreBeside } from './persist.ts';
import type { Projection } from './projection.ts';
import { createTrack, type Track } from './track.ts';

/** Bounds of one batch: beyond a few thousand events the statement gets no faster per event, only longer. */
const BATCH = { maxEvents: 5_000, maxChars: 8_000_000 };

/** How often a runner without work looks whether its checkpoints still stand where it left them. */
const IDLE_CHECK_MS = 5_000;

export interface RunOptions extends BeginOptions {
  /** Every read model has applied the log up to here (by this runner or another). */
  readonly onApplied?: (position: bigint) => void;
  /** Events of one batch at most, and about how many characters. */
  readonly batch?: BufferLimits;
  readonly beside?: StoreBeside;
  /** Read models that others keep up to date, and that are waited for, too. */
  readonly watched?: readonly Projection[];
}

export interface ProjectionRunner {
  readonly waitFor: CheckpointWatch['waitFor'];
  /** Settles when the signal has aborted and nothing is under way any more. */
  readonly finished: Promise<void>;
}

/**
 * Keeps the live version of every given read model up to date, until the signal aborts. Any number of runners may do so
 * on one database. Read models that are behind the others (new ones) first catch up, each on its own.
 * Resolves when tables and checkpoints are there; waits for a database that is down.
 * @throws Refusal('internal') when the log is not the one that the read models were built from.
 */
export async function runProjections(options: RunOptions): Promise<ProjectionRunner> {
  const { knex, clock, projections, watched = [] } = options;
  const watch = watchCheckpoints(knex, clock, [...projections, ...watched]);
  const waitFor = (...args: Parameters<CheckpointWatch['waitFor']>) => watch.waitFor(...args);
  const members = await beginProjections(options);
  if (members === null) return { waitFor, finished: Promise.resolve() };
  return { waitFor, finished: keepUp(createRun(options, members, watch)) };
}

interface Run {
  readonly options: CatchUpOptions;
  readonly members: readonly Member[];
  readonly buffer: EventBuffer;
  readonly live: Track;
  /** Where the live track stands: position of the last event it was given. */
  place: bigint;
  /** Tracks that have caught up and wait to be let in. */
  readonly arrived: Track[];
  readonly catchingUp: Set<Promise<void>>;
}

function createRun(given: RunOptions, members: readonly Member[], watch: CheckpointWatch): Run {
  const options = {
    ...given,
    batch: given.batch ?? BATCH,
    onApplied: announcer(members, watch, given.onApplied ?? (() => undefined)),
    onFault: given.onFault ?? (() => undefined),
  };
  const going = members.filter((each) => !each.paused);
  const place = going.reduce((max, each) => (each.folded > max ? each.folded : max), 0n);
  const foremost = going.filter((each) => each.folded === place);
  const live = createTrack({ ...options, onBehind: (member) => catchUp(run, member) }, foremost);
  const buffer = createEventBuffer(options.batch);
  const run: Run = { options, members, buffer, live, place, arrived: [], catchingUp: new Set() };
  return run;
}

/** Tells the news: each checkpoint to those who wait, and the least of them when it has moved. */
function announcer(members: readonly Member[], watch: CheckpointWatch, tell: (position: bigint) => void): () => void {
  let told = -1n;
  return () => {
    let least: bigint | null = null;
    for (const { projection, checkpoint } of members) {
      watch.seen(projection.name, checkpoint.position);
      if (least === null || checkpoint.position < least) least = checkpoint.position;
    }
    if (least === null || least <= told) return;
    told = least;
    tell(least);
  };
}

async function keepUp(run: Run): Promise<void> {
  const { options, members, live, buffer } = run;
  const knock = () => buffer.knock();
  options.signal.addEventListener('abort', knock, { once: true });
  options.onApplied();
  for (const member of members) if (!live.members.includes(member)) catchUp(run, member);
  await Promise.all([read(run), apply(run)]);
  await Promise.all(run.catchingUp);
  options.signal.removeEventListener('abort', knock);
}

function catchUp(run: Run, member: Member): void {
  const work = catchUpAlone(run.options, member).then((track) => {
    run.arrived.push(track);
    run.buffer.knock();
    run.catchingUp.delete(work);
  });
  run.catchingUp.add(work);
}

/** Lets those in that have caught up; what was applied meanwhile is a few events at most. */
async function admit(run: Run): Promise<void> {
  for (let track = run.arrived.shift(); track !== undefined; track = run.arrived.shift())
    for (const member of [...track.members]) {
      if (member.folded < run.place) await replay(run.options, track, member);
      if (member.folded >= run.place && !member.paused) run.live.members.push(member);
      else catchUp(run, member);
    }
}

async function read({ options, buffer, place }: Run): Promise<void> {
  const { store, clock, signal } = options;
  let after = place;
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      for await (const { events } of store.subscribe(after, { signal })) {
        failures = 0;
        after = events.at(-1)?.position ?? after;
        if (events.length > 0) await buffer.put(events);
      }
    } catch (error) {
      options.onFault(error);
    }
    if (!signal.aborted) await clock.sleep(backOffMs(failures), signal);
  }
}

async function apply(run: Run): Promise<void> {
  const { options, buffer, live, arrived } = run;
  while (!options.signal.aborted) {
    await admit(run);
    const events = buffer.take();
    if (events.length > 0) {
      const after = run.place;
      run.place = events.at(-1)?.position ?? after;
      await live.push(events, after);
      continue;
    }
    // While this waits, further events gather for the next batch.
    await live.flush();
    if (arrived.length === 0 && !options.signal.aborted && !(await filledInTime(run))) await live.check(run.place);
  }
  await live.flush();
}

/** False when nothing came for a while. */
async function filledInTime({ options, buffer }: Run): Promise<boolean> {
  const over = new AbortController();
  const late = options.clock.sleep(IDLE_CHECK_MS, over.signal).then(() => false);
  const inTime = await Promise.race([buffer.filled().then(() => true), late]);
  // With a reason of its own: else an error with its stack is made for every batch.
  over.abort('in time');
  // Ends the waiting that is left over; days without work would pile it up.
  if (!inTime) buffer.knock();
  return inTime;
}
