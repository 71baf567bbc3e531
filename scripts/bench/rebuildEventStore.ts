/** Rows about rebuilds from a log in EventStoreDB: the stand-in as a process of its own, or the server of EVENTSTORE_URL. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { EventStoreDBClient, START } from '@eventstore/db-client';
import { ensureVersions } from '../../projections/checkpoints.ts';
import { readModels } from '../../projections/readModels.ts';
import { eventStoreForTests } from '../../test/services.ts';
import { openStorage, type Storage } from '../storage.ts';
import { percentile, ratioAtLeast, type Measured, type Report } from './measure.ts';
import type { Place } from './place.ts';
import { timed, type Timed } from './rebuild.ts';
import { seedLog } from './seedLog.ts';

const DISCUSSIONS = 6_000;
const ROUNDS = 5;
/** One that reads every event, one that reads some types only, which the server leaves out. */
const PROJECTIONS = ['discussions', 'messages'];
const STANDIN = fileURLToPath(new URL('../../test/standins/eventstoredbMain.ts', import.meta.url));

/**
 * Two floors, each one loop in this process: what the vendor's client reads of the log without looking at it, and what
 * the log's port gives, decoded.
 */
export async function eventStoreRows(place: Place, report: Report): Promise<void> {
  // What reads the log is the same for every database.
  if (place.embedded) return;
  const server = await serverFor(place);
  const own = { ...place, settings: { ...place.settings, EVENTSTORE_URL: server.url } };
  const storage = await openStorage(own.settings, place.log);
  try {
    const count = place.quick ? 300 : DISCUSSIONS;
    await seedLog(storage.store, count);
    await storage.database.knex.raw('truncate projections, dead_letters');
    await ensureVersions(storage.database.knex, readModels);
    for (const projection of readModels.filter(({ name }) => PROJECTIONS.includes(name))) {
      const rounds: Round[] = [];
      // So that the client is no faster in later rounds than in the first.
      await readRaw(server.url);
      for (let i = 0; i < (place.quick ? 1 : ROUNDS); i += 1) {
        const [raw, decoded] = [await readRaw(server.url), await readDecoded(storage)];
        const rebuilt = await timed(own, storage, projection, true);
        rounds.push({ events: decoded.events, rawMs: raw.ms, decodedMs: decoded.ms, rebuilt });
      }
      await reportRounds(projection.name, rounds, report, server.what);
    }
  } finally {
    await storage.close();
    await server.stop();
  }
}

interface Round {
  readonly events: number;
  readonly rawMs: number;
  readonly decodedMs: number;
  readonly rebuilt: Timed;
}

async function reportRounds(projection: string, rounds: readonly Round[], report: Report, from: string): Promise<void> {
  const median = (value: (round: Round) => number): number => percentile(rounds.map(value), 50);
  const row = (of: keyof Timed, floor: 'rawMs' | 'decodedMs') => (): Promise<Measured> => {
    const ratio = median((round) => round[floor] / round.rebuilt[of]);
    return Promise.resolve({
      unit: 'events/s',
      ours: median(({ events, rebuilt }) => (events * 1000) / rebuilt[of]),
      floor: median((round) => (round.events * 1000) / round[floor]),
      ratio,
      target: ratioAtLeast(0.8, ratio),
      note: `${median(({ events }) => events).toLocaleString('en')} events of the log, from ${from}`,
    });
  };
  const name = `rebuild --fast from EventStoreDB: ${projection}`;
  await report(`${name}, built; floor: the client alone`, row('buildMs', 'rawMs'));
  await report(`${name}, verified and swapped; floor: the client alone`, row('allMs', 'rawMs'));
  await report(`${name}, verified and swapped; floor: decoded, too`, row('allMs', 'decodedMs'));
}

async function serverFor({ settings }: Place): Promise<{ url: string; what: string; stop(): Promise<void> }> {
  const url = settings.EVENTSTORE_URL ?? eventStoreForTests()?.url;
  if (url) return { url, what: 'a server', stop: () => Promise.resolve() };
  const child = spawn(process.execPath, ['--import', 'tsx', STANDIN], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const said = JSON.parse(line) as { url: string };
  return {
    url: said.url,
    what: 'the stand-in',
    async stop() {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}

async function readRaw(url: string): Promise<{ ms: number }> {
  const client = EventStoreDBClient.connectionString(url);
  const startedMs = performance.now();
  let events = 0;
  for await (const { event } of client.readAll({ fromPosition: START })) if (event !== undefined) events += 1;
  const ms = performance.now() - startedMs;
  await client.dispose();
  if (events === 0) throw new Error('the client read nothing');
  return { ms };
}

async function readDecoded({ store }: Storage): Promise<{ events: number; ms: number }> {
  const startedMs = performance.now();
  let events = 0;
  for await (const event of store.readAll(0n)) events += event.id === '' ? 0 : 1;
  return { events, ms: performance.now() - startedMs };
}
