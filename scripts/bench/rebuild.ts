/** Rows about rebuilds beside the live version: how fast, and what live reads feel of them. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { RebuildProgress } from '../../projections/rebuild/rebuild.ts';
import { ensureVersions } from '../../projections/checkpoints.ts';
import type { Projection } from '../../projections/projection.ts';
import { readModels } from '../../projections/readModels.ts';
import { claimBuild, failClaim } from '../../projections/rebuild/version.ts';
import { liveView } from '../../projections/tables.ts';
import { runInThread } from '../rebuildThread.ts';
import { openStorage, type Storage } from '../storage.ts';
import { percentile, ratioAtLeast, type Measured, type Report } from './measure.ts';
import type { Place } from './place.ts';
import { floor } from './projections.ts';
import { EVENTS_EACH, seedLog } from './seedLog.ts';

const MEASURED = ['discussions', 'messages', 'turns'];
/** By turns, so that a busy moment of the machine hits both; p99 is of all of them together. */
const TURNS = 10;
const READS = 1_000;
const READ_EVERY_MS = 2;

/** From the thread's first word on: its start through tsx takes a second that the bundled program does not. */
export interface Timed {
  readonly buildMs: number;
  readonly allMs: number;
}

/**
 * Floor: one bare loop in this process that reads the same log by keyset pages of 2,000, parses it, folds it in memory and
 * inserts the final rows, 2,000 a statement, without checkpoints, without verification, with all indexes there.
 */
export async function rebuildRows(place: Place, report: Report): Promise<void> {
  const storage = await openStorage(place.settings, place.log);
  const count = place.quick ? 1_000 : place.embedded ? 3_000 : 12_000;
  const events = count * EVENTS_EACH;
  try {
    await seedLog(storage.store, count);
    await ensureVersions(storage.database.knex, readModels);
    await storage.database.knex.raw('vacuum analyze');
    for (const projection of readModels.filter(({ name }) => MEASURED.includes(name))) {
      const rounds: { floorMs: number; timed: Timed }[] = [];
      for (let i = 0; i < (place.quick ? 1 : 3); i += 1) {
        const startedMs = performance.now();
        await floor(storage, [projection]);
        const floorMs = performance.now() - startedMs;
        rounds.push({ floorMs, timed: await timed(place, storage, projection, true) });
      }
      const row = (of: keyof Timed) => (): Promise<Measured> => {
        const ratio = percentile(
          rounds.map((each) => each.floorMs / each.timed[of]),
          50,
        );
        const rate = (ms: number[]) => (events * 1000) / percentile(ms, 50);
        return Promise.resolve({
          unit: 'events/s',
          ours: rate(rounds.map((each) => each.timed[of])),
          floor: rate(rounds.map((each) => each.floorMs)),
          ratio,
          target: ratioAtLeast(0.55, ratio),
          note: `${events.toLocaleString('en')} events`,
        });
      };
      await report(`rebuild --fast: ${projection.name}, until verified rows begin`, row('buildMs'));
      await report(`rebuild --fast: ${projection.name}, verified and swapped`, row('allMs'));
    }
    await report('point reads beside a rebuild as it is by default, p99', () => beside(place, storage));
  } finally {
    await storage.close();
  }
}

/** One rebuild in a thread. */
export async function timed(place: Place, storage: Storage, projection: Projection, fast: boolean): Promise<Timed> {
  const { knex } = storage.database;
  const claim = await claimBuild(knex, projection, { builder: randomUUID(), fast });
  let [startedMs, buildMs] = [0, 0];
  const onProgress = ({ note }: RebuildProgress) => {
    if (startedMs === 0) startedMs = performance.now();
    if (buildMs === 0 && note.startsWith('verifying')) buildMs = performance.now() - startedMs;
  };
  const { name } = projection;
  const task = { kind: 'rebuild', name, fast, version: claim.version, builder: claim.builder } as const;
  const given = { settings: place.settings, embedded: storage.embedded?.connection ?? null, task };
  await runInThread(given, new AbortController().signal, onProgress);
  const allMs = performance.now() - startedMs;
  return { buildMs: buildMs || allMs, allMs };
}

async function beside(place: Place, storage: Storage): Promise<Measured> {
  const projection = readModels.find(({ name }) => name === 'discussions');
  if (projection === undefined) throw new Error('no read model');
  const all = { alone: [] as number[], beside: [] as number[], rates: [] as number[] };
  for (let i = 0; i < (place.quick ? 1 : TURNS); i += 1) {
    all.alone.push(...(await reads(storage, projection)));
    const { took, rate } = await readsBeside(place, storage, projection);
    all.beside.push(...took);
    all.rates.push(rate);
  }
  const [ours, floor] = [percentile(all.beside, 99), percentile(all.alone, 99)];
  const rate = Math.round(percentile(all.rates, 50)).toLocaleString('en');
  return {
    unit: 'ms',
    ours,
    floor,
    ratio: ours / floor,
    target: { says: '≤ 1.2 × alone', holds: ours / floor <= 1.2 },
    note: `${all.beside.length.toLocaleString('en')} reads, one every ${READ_EVERY_MS} ms; ${rate} events/s rebuilt`,
  };
}

async function readsBeside(place: Place, storage: Storage, projection: Projection) {
  const claim = await claimBuild(storage.database.knex, projection, { builder: randomUUID(), fast: false });
  const { version, builder } = claim;
  const task = { kind: 'rebuild', name: projection.name, fast: false, version, builder } as const;
  const over = new AbortController();
  const given = { settings: place.settings, embedded: storage.embedded?.connection ?? null, task };
  let done = 0;
  let begun: () => void = () => undefined;
  const working = new Promise<void>((resolve) => (begun = resolve));
  const going = runInThread(given, over.signal, (progress) => {
    done = progress.done;
    if (done > 0) begun();
  }).catch(() => null);
  await Promise.race([working, going]);
  const [before, startedMs] = [done, performance.now()];
  const took = await reads(storage, projection);
  const rate = ((done - before) * 1000) / (performance.now() - startedMs);
  over.abort();
  await going;
  await failClaim(storage.database.knex, claim, 'measured');
  return { took, rate };
}

/** Milliseconds of each. */
async function reads({ database }: Storage, projection: Projection): Promise<number[]> {
  const view = liveView(projection, { name: projection.name });
  const { rows } = await database.pool.query<{ id: string }>(`select id from ${view} limit 500`);
  const took: number[] = [];
  for (let i = 0; i < READS; i += 1) {
    const startedMs = performance.now();
    await database.pool.query(`select * from ${view} where id = $1`, [rows[i % rows.length]?.id]);
    took.push(performance.now() - startedMs);
    await delay(READ_EVERY_MS);
  }
  return took;
}
