/** Tampering with the data file of the EventStoreDB stand-in, as whoever owns the server's disk can. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEventStoreDb } from '../../infra/eventstoredb.ts';
import { systemClock } from '../../infra/system.ts';
import { plainCodec } from '../contracts/sampleEvents.ts';
import { startEventStoreStandin } from '../standins/eventstoredb.ts';
import { STREAMS, type TamperableLog } from './auditedLog.ts';
import { tamperingSuite } from '../contracts/logTampering.ts';

interface Line {
  position: number;
  sizeBytes: number;
  event: { id: string; stream: string; revision: string; data: string; position: number } | null;
}

async function tamperable(): Promise<TamperableLog> {
  const folder = await mkdtemp(join(tmpdir(), 'colloquy-tampered-'));
  const dataFile = join(folder, 'log.ndjson');
  const open = async () => {
    const server = await startEventStoreStandin({ dataFile });
    const onError = () => undefined;
    return { server, store: createEventStoreDb({ url: server.url, codec: plainCodec, clock: systemClock, onError }) };
  };
  const close = async ({ server, store }: Awaited<ReturnType<typeof open>>) => {
    await store.close();
    await server.stop();
  };
  let running = await open();
  /** Changes the records of the sample's events while the server is down. */
  const change = async (how: (records: Line[], ours: (index: number) => number) => Line[]): Promise<void> => {
    await close(running);
    const lines = (await readFile(dataFile, 'utf8')).split('\n').filter(Boolean);
    const records = lines.flatMap((line) => JSON.parse(line) as Line[]);
    const places = records.flatMap(({ event }, place) => (STREAMS.includes(event?.stream ?? '') ? [place] : []));
    const changed = how(records, (index) => places[index] ?? records.length);
    await writeFile(dataFile, changed.map((record) => `${JSON.stringify([record])}\n`).join(''));
    running = await open();
  };
  return {
    store: () => running.store,
    flip: (index) => change((records, ours) => records.map((each, at) => (at === ours(index) ? flipped(each) : each))),
    remove: (index) => change((records, ours) => records.filter((_, at) => at !== ours(index))),
    insert: (index) => change((records, ours) => inserted(records, ours(index))),
    swap: (a, b) => change((records, ours) => swapped(records, ours(a), ours(b))),
    cut: (length) => change((records, ours) => records.slice(0, ours(length))),
    async stop() {
      await close(running);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function flipped(record: Line): Line {
  if (record.event === null) return record;
  const data = Buffer.from(record.event.data, 'base64').toString('utf8').replace('event', 'evend');
  return { ...record, event: { ...record.event, data: Buffer.from(data).toString('base64') } };
}

/** At its own stream's end, every later record moved up by its size. */
function inserted(records: readonly Line[], place: number): Line[] {
  const last = records.findLast(({ event }) => event?.stream === STREAMS[0]);
  const here = records[place];
  if (last?.event == null || here === undefined) throw new Error('the sample log is not there');
  const id = 'f0f0f0f0-f0f0-4f0f-8f0f-f0f0f0f0f0f0';
  const revision = String(Number(last.event.revision) + 1);
  const forged = at({ ...last, event: { ...last.event, id, revision } }, here.position);
  const moved = records.slice(place).map((each) => at(each, each.position + forged.sizeBytes));
  return [...records.slice(0, place), forged, ...moved];
}

/** The two events are of one size. */
function swapped(records: readonly Line[], a: number, b: number): Line[] {
  const [first, second] = [records[a], records[b]];
  if (first === undefined || second === undefined) throw new Error('the sample log is not there');
  return records.map((each, place) =>
    place === a ? at(second, first.position) : place === b ? at(first, second.position) : each,
  );
}

function at(record: Line, position: number): Line {
  return { ...record, position, event: record.event === null ? null : { ...record.event, position } };
}

tamperingSuite('tampering with the log in EventStoreDB (stand-in)', tamperable);
