/** Rows about durable turns with a model that takes no time. */
import { canonicalJson } from '../../domain/codec.ts';
import { gapsOf, startBench, type Bench } from './discussions.ts';
import { openFloorTable, type FloorTable, type RawEvent } from './floorTable.ts';
import { atLeast, atMost, percentile, type Measured, type Report } from './measure.ts';
import type { Place } from './place.ts';

const AT_ONCE = 20;
const ANSWER_CHARS = 400;

/** p50 and p99 of a turn, turns a second at 1 and at 20 discussions, statements of a turn. */
export async function turnRows(place: Place, report: Report): Promise<void> {
  const bench = await startBench(place, ANSWER_CHARS);
  const floor = await openFloorTable(place, bench.running.storage.database.pool, AT_ONCE);
  try {
    // Warm code is what a service runs: the first thousand turns take twice as long.
    await bench.hold(1, 300);
    await bench.hold(AT_ONCE, 50);
    const sample = await sampleTurn(bench);
    await oneDiscussion(place, report, bench, () => floorGaps(floor, sample, place.quick ? 200 : 1_000));
    await manyDiscussions(place, report, bench, () => floorRate(floor, sample, place.quick ? 1_000 : 3_000));
  } finally {
    await floor.close();
    await bench.stop();
  }
}

async function oneDiscussion(
  place: Place,
  report: Report,
  bench: Bench,
  floor: () => Promise<number[]>,
): Promise<void> {
  const turns = place.quick ? 300 : 1_500;
  let [gaps, floors, perTurn]: [number[], number[], { engine: number; all: number }] = [
    [],
    [],
    { engine: NaN, all: NaN },
  ];
  let kinds = '';
  const row = (p: number, limit?: number): Measured => {
    const [ours, raw] = [percentile(gaps, p), percentile(floors, p)];
    const target = limit === undefined ? {} : { target: atMost(limit, 'ms', ours) };
    return { unit: 'ms', ours, floor: raw, ratio: ours / raw, ...target };
  };
  await report('turn: p50, 1 discussion', async () => {
    floors = await floor();
    bench.statements.reset();
    const { endedAtMs } = await bench.hold(1, turns);
    gaps = gapsOf(endedAtMs[0] ?? []);
    const { engine, projections } = bench.statements;
    perTurn = { engine: engine / turns, all: (engine + projections) / turns };
    kinds = kindsOf(bench, turns);
    floors = [...floors, ...(await floor())];
    return row(50, place.embedded ? undefined : 3);
  });
  await report('turn: p99, 1 discussion', async () => row(99));
  await report('turn: turns/s, 1 discussion', async () => {
    const [ours, raw] = [1000 / mean(gaps), 1000 / mean(floors)];
    return { unit: 'turns/s', ours, floor: raw, ratio: ours / raw };
  });
  await report('turn: SQL statements, log and workers', async () => ({
    ...statementRow(perTurn.engine),
    target: atMost(6, '', perTurn.engine),
    note: kinds,
  }));
  await report('turn: SQL statements, with read models', async () => statementRow(perTurn.all));
}

async function manyDiscussions(
  place: Place,
  report: Report,
  bench: Bench,
  floor: () => Promise<number>,
): Promise<void> {
  const turns = place.quick ? 30 : 150;
  let perTurn = { engine: NaN, all: NaN };
  let kinds = '';
  await report(`turn: turns/s, ${AT_ONCE} discussions`, async () => {
    const before = await floor();
    bench.statements.reset();
    const cpu = process.cpuUsage();
    const { endedAtMs } = await bench.hold(AT_ONCE, turns);
    const { user, system } = process.cpuUsage(cpu);
    const { engine, projections } = bench.statements;
    const count = AT_ONCE * turns;
    perTurn = { engine: engine / count, all: (engine + projections) / count };
    kinds = kindsOf(bench, count);
    const all = endedAtMs.flat();
    const ours = ((all.length - 1) * 1000) / (Math.max(...all) - Math.min(...all));
    const raw = (before + (await floor())) / 2;
    const note = `CPU of this process: ${((user + system) / 1000 / count).toFixed(2)} ms a turn`;
    const target = place.embedded ? {} : { target: atLeast(1_000, 'turns/s', ours) };
    return { unit: 'turns/s', ours, floor: raw, ratio: ours / raw, ...target, note };
  });
  await report(`turn: SQL statements, ${AT_ONCE} discussions`, async () => ({
    ...statementRow(perTurn.engine),
    target: atMost(6, '', perTurn.engine),
    note: `with read models ${perTurn.all.toFixed(2)}; ${kinds}`,
  }));
}

function statementRow(ours: number): Measured {
  return { unit: 'a turn', ours, floor: 2, ratio: ours / 2 };
}

function kindsOf(bench: Bench, turns: number): string {
  return [...bench.statements.kinds]
    .sort((a, b) => b[1] - a[1])
    .slice(0, 4)
    .map(([kind, count]) => `${(count / turns).toFixed(2)} × ${kind.slice(0, 28)}`)
    .join(', ');
}

/** The stored bytes of one turn: what its two transactions hold. */
async function sampleTurn(bench: Bench): Promise<{ claim: RawEvent; end: RawEvent[] }> {
  const raw: RawEvent[] = [];
  for await (const { stream, type, data, metadata } of bench.running.engine.store.readAll(50n, { limit: 20 }))
    raw.push({ stream, type, data: canonicalJson(data), metadata: canonicalJson(metadata) });
  const of = (type: string): RawEvent => {
    const found = raw.find((each) => each.type === type);
    if (found === undefined) throw new Error(`no ${type} in the sample`);
    return found;
  };
  return { claim: of('TurnClaimed'), end: [of('TurnCompleted'), of('TurnRequested')] };
}

type Sample = Awaited<ReturnType<typeof sampleTurn>>;

async function rawTurn(floor: FloorTable, { claim, end }: Sample): Promise<void> {
  await floor.write([claim]);
  await floor.writeMany(end);
}

/** Milliseconds of raw turns one after another. */
async function floorGaps(floor: FloorTable, sample: Sample, turns: number): Promise<number[]> {
  const gaps: number[] = [];
  for (let i = 0; i < turns; i += 1) {
    const started = performance.now();
    await rawTurn(floor, sample);
    gaps.push(performance.now() - started);
  }
  return gaps;
}

async function floorRate(floor: FloorTable, sample: Sample, turns: number): Promise<number> {
  const started = performance.now();
  const loop = async () => {
    for (let i = 0; i < turns / AT_ONCE; i += 1) await rawTurn(floor, sample);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, loop));
  return (turns * 1000) / (performance.now() - started);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, each) => sum + each, 0) / values.length;
}
